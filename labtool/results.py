"""The result of each part of the tests: kept for the next run, and shown in a summary."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path

from labtool import paths
from labtool.table import render

PASSED, FAILED, LEFT_OUT = "passed", "FAILED", "left out"


@dataclass(frozen=True)
class Result:
    part: str
    outcome: str
    seconds: float
    cpu: float = 0  # seconds of processor time, including its nodes


def kept() -> dict[str, Result]:
    """The result of each part's last run."""
    try:
        return {entry["part"]: Result(**entry) for entry in json.loads(_file().read_text())}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def keep(result: Result) -> None:
    every = kept() | {result.part: result}
    _file().write_text(json.dumps([asdict(other) for other in every.values()], indent=2) + "\n")


def _file() -> Path:
    return paths.TESTS / "results.json"


def cpu_file(part: str) -> Path:
    """Where a part writes its processor time when it ends."""
    return paths.TESTS / f"{part}.cpu"


def cpu_of(part: str) -> float:
    try:
        return float(cpu_file(part).read_text())
    except (OSError, ValueError):
        return 0


def summary(results: list[Result]) -> str:
    rows = [("PART", "RESULT", "SECONDS", "CPU")]
    rows += [(result.part, result.outcome, f"{result.seconds:.0f}", f"{result.cpu:.0f}") for result in results]
    count = Counter(result.outcome for result in results)
    total = f"{count[PASSED]} passed, {count[FAILED]} failed"
    if count[LEFT_OUT]:
        total += f", {count[LEFT_OUT]} left out (--without-vms)"
    failures = [line for result in results if result.outcome == FAILED for line in failed_tests(result.part)]
    return "\n\n".join(filter(None, ["\n".join(failures), render(rows), total]))


def report_of(part: str) -> Path:
    """Where pytest writes the results of a part's tests, in JUnit's format."""
    return paths.TESTS / f"{part}.xml"


def failed_tests(part: str) -> list[str]:
    """A line for each failed test of a part, because its own output may be thousands of lines above."""
    return [f"{part}: {test}: {reason}" for test, reason in failures(part)]


def failures(part: str) -> list[tuple[str, str]]:
    """The tests that failed in a part's last run, and why."""
    if not report_of(part).exists():
        return []
    return [
        (f"{case.get('classname', '').rpartition('.')[2]}::{case.get('name')}", wrong.get("message", "").partition("\n")[0])
        for case in ElementTree.parse(report_of(part)).iter("testcase")
        for wrong in [*case.iter("failure"), *case.iter("error")]
    ]
