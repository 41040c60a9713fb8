"""./lab test: all its parts, each run whatever became of the others, and a summary."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import yaml

from labtool import cores, inventory, nodes, paths, sanity
from labtool.environment import environment
from labtool.system import LabError, lock, say, stream
from labtool.table import render

DEFAULT_INVENTORY = "ideal"
WITHOUT_NODES = ("lint", "sanity", "unit", "cores")

PASSED, FAILED, LEFT_OUT = "passed", "FAILED", "left out"


@dataclass(frozen=True)
class Result:
    part: str
    outcome: str
    seconds: float


def names() -> list[str]:
    return list(_parts())


def scenarios() -> list[str]:
    return sorted(path.parent.name for path in (paths.ROOT / "molecule").glob("*/molecule.yml"))


def _parts() -> dict[str, Callable[[], bool]]:
    parts: dict[str, Callable[[], bool]] = {"lint": lint, "sanity": check_sanity, "unit": unit, "cores": check_cores}
    return parts | {name: (lambda name=name: scenario(name)) for name in scenarios()}


def test(wanted: list[str], *, without_vms: bool = False) -> int:
    parts = _parts()
    if unknown := [name for name in wanted if name not in parts]:
        raise LabError(f"No such part of the tests: {', '.join(unknown)}. There are: {', '.join(parts)}.")
    wanted = wanted or list(parts)
    left_out = {name for name in wanted if without_vms and has_vms(name)}
    beside = [name for name in wanted if name in WITHOUT_NODES]
    told = beside_each_other(beside) if len(beside) > 1 else {}
    results = [told.get(name) or (Result(name, LEFT_OUT, 0) if name in left_out else _run(name, parts[name])) for name in wanted]
    print(f"\n{summary(results)}", flush=True)
    return 1 if any(result.outcome == FAILED for result in results) else 0


def beside_each_other(names: list[str]) -> dict[str, Result]:
    """Parts that need no nodes, each in a process of its own; what they print follows in their order."""
    say(f"\n=== Tests beside each other, with their output at the end: {', '.join(names)}")
    with ThreadPoolExecutor() as pool, tempfile.TemporaryDirectory() as folder:
        outputs = {name: Path(folder) / name for name in names}
        results = list(pool.map(lambda name: _aside(name, outputs[name]), names))
        for output in outputs.values():
            print(output.read_text(), end="", flush=True)
    return {result.part: result for result in results}


def _aside(name: str, output: Path) -> Result:
    begin = time.monotonic()
    with output.open("w") as file:
        program = f"import sys; from labtool import checks; sys.exit(checks.alone({name!r}))"
        command = ["setpriv", "--pdeathsig", "TERM", "--", sys.executable, "-P", "-c", program]
        passed = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, check=False).returncode == 0
    result = Result(name, PASSED if passed else FAILED, time.monotonic() - begin)
    say(f"  {name}: {result.outcome} in {result.seconds:.0f} s")
    return result


def alone(name: str) -> int:
    """The exit status of one part."""
    return int(_run(name, _parts()[name]).outcome == FAILED)


def variant_of(name: str) -> str:
    """The variant that a scenario runs on: that of its own name, but for LAB_VARIANT in its molecule.yml."""
    settings = yaml.safe_load((paths.ROOT / "molecule" / name / "molecule.yml").read_text())
    return settings.get("ansible", {}).get("env", {}).get("LAB_VARIANT", name)


def has_vms(part: str) -> bool:
    """Whether it is a scenario with virtual machines; one whose inventory cannot be read is run, and fails."""
    if part in WITHOUT_NODES:
        return False
    try:
        return bool(inventory.load(variant_of(part)).of_kind("vm"))
    except LabError:
        return False


def summary(results: list[Result]) -> str:
    rows = [("PART", "RESULT", "SECONDS")]
    rows += [(result.part, result.outcome, f"{result.seconds:.0f}") for result in results]
    count = Counter(result.outcome for result in results)
    total = f"{count[PASSED]} passed, {count[FAILED]} failed"
    if count[LEFT_OUT]:
        total += f", {count[LEFT_OUT]} left out (--without-vms)"
    failures = [line for result in results if result.outcome == FAILED for line in failed_tests(result.part)]
    return "\n\n".join(filter(None, ["\n".join(failures), render(rows), total]))


def report_of(part: str) -> Path:
    """Where pytest tells, in JUnit's format, what came of the tests of a part."""
    return paths.LAB / "tests" / f"{part}.xml"


def failed_tests(part: str) -> list[str]:
    """A line for each test of a part that has failed, since its own words may be thousands of lines above."""
    if not report_of(part).exists():
        return []
    lines = []
    for case in ElementTree.parse(report_of(part)).iter("testcase"):
        name = f"{case.get('classname', '').rpartition('.')[2]}::{case.get('name')}"
        for wrong in [*case.iter("failure"), *case.iter("error")]:
            reason = wrong.get("message", "").partition("\n")[0]
            lines.append(f"{part}: {name}: {reason}")
    return lines


def _run(name: str, part: Callable[[], bool]) -> Result:
    say(f"\n=== Test: {name}")
    begin = time.monotonic()
    report_of(name).unlink(missing_ok=True)
    try:
        passed = part()
    except LabError as error:
        say(f"lab: {error}")
        passed = False
    result = Result(name, PASSED if passed else FAILED, time.monotonic() - begin)
    say(f"=== Test: {name}: {result.outcome} in {result.seconds:.1f} s")
    return result


def _environment() -> dict[str, str]:
    plain = {} if sys.stdout.isatty() else {"NO_COLOR": "1", "ANSIBLE_NOCOLOR": "True"}
    return environment(inventory.path_of(DEFAULT_INVENTORY)) | plain | {
        "GALAXY_IMPORTER_CONFIG": str(paths.ROOT / ".config" / "galaxy-importer.cfg")}


def _all_of(commands: list[list[str]], place: Path = paths.ROOT) -> bool:
    """Run each of them, also after one has failed, so that one run tells all there is to mend."""
    good = True
    for command in commands:
        say(f"--- {' '.join(command)}")
        good = stream(command, env=_environment(), cwd=place) == 0 and good
    return good


def lint() -> bool:
    return _all_of(
        [
            ["bash", "-n", "lab"],
            ["ruff", "check", "."],
            ["yamllint", "--strict", "."],
            ["ansible-lint", "--offline", "--profile", "production"],
            ["antsibull-docs", "lint-collection-docs", "--plugin-docs", "--validate-collection-refs=self", "."],
        ]
    ) and _importable()


def _importable() -> bool:
    """Whether Galaxy would take the archive."""
    with tempfile.TemporaryDirectory() as place:
        if not _all_of([["ansible-galaxy", "collection", "build", "--output-path", place]]):
            return False
        archive = next(Path(place).glob("*.tar.gz"))
        # it leaves a report where it runs
        return _all_of([["python", "-m", "galaxy_importer.main", str(archive)]], Path(place))


def check_sanity() -> bool:
    return sanity.check(_environment())


def check_cores() -> bool:
    return cores.check(_environment())


def unit() -> bool:
    return _all_of([["pytest", "tests/unit", f"--junit-xml={report_of('unit')}"]])


def scenario(name: str) -> bool:
    """Create, converge, converge again, check mode, verify, destroy; nodes are removed whatever happens."""
    _refuse_incomplete(name)
    with lock(f"test {name}"):
        nodes.repair()
        if owner := nodes.owner():
            say(f"This replaces the cluster that is up (variant {owner[1]} of {owner[0]})")
        try:
            command = ["molecule", "--base-config", ".config/molecule/config.yml", "test", "--scenario-name", name]
            # Molecule's own state, by default in the home directory and shared by checkouts of the same name.
            state = {
                "MOLECULE_EPHEMERAL_DIRECTORY": str(paths.LAB / "molecule" / name),
                "PYTEST_ADDOPTS": f"--junit-xml={report_of(name)}",
            }
            return stream(command, env=_environment() | state, cwd=paths.ROOT) == 0
        finally:
            nodes.remove()
            paths.CURRENT.unlink(missing_ok=True)


def _refuse_incomplete(name: str) -> None:
    """Molecule passes over a playbook that is missing, and over a folder without tests, with a mere warning."""
    folder = paths.ROOT / "molecule"
    needed = [folder / "shared" / f"{playbook}.yml" for playbook in ("create", "converge", "check_mode", "destroy")]
    missing = [str(path.relative_to(paths.ROOT)) for path in [*needed, inventory.path_of(variant_of(name))] if not path.exists()]
    if not list((folder / name).glob("tests/test_*.py")):
        missing.append(f"molecule/{name}/tests/test_*.py")
    if missing:
        raise LabError(f"The scenario {name} is incomplete, it lacks: {', '.join(missing)}.")
