"""./lab test: all its parts, beside each other, each run whatever became of the others, and a summary."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import yaml

from labtool import cores, enclosure, inventory, kernel, lifecycle, nodes, paths, processes, sanity, turns
from labtool.environment import environment, link_collection
from labtool.progress import Progress
from labtool.system import LabError, lock, say, stream, try_lock
from labtool.table import render

DEFAULT_INVENTORY = "ideal"
WITHOUT_NODES = ("lint", "sanity", "unit", "cores")
# What takes longest begins first, or the others would wait for it in the end.
LONGEST = (
    *("ideal", "replicated_pair", "cluster_filesystem", "shared_storage", "partitioned_implicit", "chaos", "director"),
    *("unit", "cores", "sanity"),
)
# A scenario keeps two thirds of a core to two cores busy. More of them at once would only make each other slower.
SCENARIOS_OF_A_CORE = 1
MEMORY_OF_A_SCENARIO = 4 << 30

RESULTS = paths.TESTS / "results.json"
AGAIN = "LAB_TEST_AGAIN"  # in the environment: by part, the names of the tests that have failed, and of no others
WHAT = {
    "lint": "linters of Python, YAML, Ansible and the documentation; Galaxy's importer",
    "sanity": "ansible-test sanity",
    "unit": "the unit tests",
    "cores": "unit tests with other releases of ansible-core",
}

PASSED, FAILED, LEFT_OUT = "passed", "FAILED", "left out"


@dataclass(frozen=True)
class Result:
    part: str
    outcome: str
    seconds: float
    cpu: float = 0  # seconds that it has computed, its nodes included


def names() -> list[str]:
    return list(_parts())


def scenarios() -> list[str]:
    return sorted(path.parent.name for path in (paths.ROOT / "molecule").glob("*/molecule.yml"))


def _parts() -> dict[str, Callable[[], bool]]:
    parts: dict[str, Callable[[], bool]] = {"lint": lint, "sanity": check_sanity, "unit": unit, "cores": check_cores}
    return parts | {name: (lambda name=name: scenario(name)) for name in scenarios()}


def test(wanted: list[str], *, without_vms: bool = False, failed: bool = False, jobs: int | None = None) -> int:
    parts = names()
    if unknown := [name for name in wanted if name not in parts]:
        raise LabError(f"No such part of the tests: {', '.join(unknown)}. There are: {', '.join(parts)}.")
    wanted = [name for name in parts if name in wanted] or parts
    if failed:
        wanted = _failed_before(wanted)
    left_out = {name for name in wanted if without_vms and has_vms(name)}
    to_run = [name for name in wanted if name not in left_out]
    with _this_checkout():
        ran = run_parts(to_run, jobs or how_many_at_once(), again=failed)
    results = [ran.get(name) or Result(name, LEFT_OUT, 0) for name in wanted]
    print(f"\n{summary(results)}", flush=True)
    return 1 if any(result.outcome == FAILED for result in results) else 0


@contextmanager
def _this_checkout() -> Iterator[None]:
    """For one run at a time: what parts print, and what became of them, are files of the checkout."""
    paths.TESTS.mkdir(parents=True, exist_ok=True)
    with (paths.TESTS / "lock").open("a") as file:
        if not try_lock(file):
            raise LabError("Another './lab test' of this checkout is at work. Wait until it has ended, or end it.")
        yield


def _failed_before(wanted: list[str]) -> list[str]:
    kept = kept_results()
    found = [name for name in wanted if name in kept and kept[name].outcome == FAILED]
    if not found:
        raise LabError("Nothing of this has failed when it was run last. What there is, and what became of it: ./lab test --list")
    say(f"Again, what has failed: {', '.join(found)}")
    return found


def how_many_at_once() -> int:
    """Scenarios that this machine bears beside each other."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return max(1, min((os.cpu_count() or 1) * SCENARIOS_OF_A_CORE, memory // MEMORY_OF_A_SCENARIO))


def run_parts(wanted: list[str], jobs: int, *, again: bool) -> dict[str, Result]:
    """Run the parts beside each other; what each prints follows when it has ended."""
    order = sorted(wanted, key=lambda name: LONGEST.index(name) if name in LONGEST else len(LONGEST))
    with_nodes = [name for name in order if name not in WITHOUT_NODES]
    say(f"\n=== {len(order)} parts, {min(jobs, len(with_nodes))} scenarios at once: {', '.join(order)}")
    link_collection()
    meeting = paths.LAB / "turns"
    meeting.mkdir(exist_ok=True)
    with ExitStack() as stack:
        if with_nodes:
            stack.enter_context(_prepared(with_nodes, jobs))
        settings = {turns.PLACE: str(meeting)}
        if again:
            settings[AGAIN] = json.dumps({name: [test for test, _reason in failures(name)] for name in wanted})
        progress = stack.enter_context(Progress())
        beside, among = (stack.enter_context(ThreadPoolExecutor(number)) for number in (os.cpu_count(), jobs))
        futures: list[Future[Result]] = []
        stack.callback(lambda: [future.cancel() for future in futures])
        futures += [(among if name in with_nodes else beside).submit(_aside, name, settings, progress) for name in order]
        results = [future.result() for future in futures]
    return {result.part: result for result in results}


@contextmanager
def _prepared(with_nodes: list[str], jobs: int) -> Iterator[None]:
    """What all scenarios stand on, made once; it stays until this is left."""
    with ExitStack() as held:
        with lock("test"):
            nodes.ensure_key()
            kernel.raise_limits(min(jobs, len(with_nodes)))
            lifecycle.remove_old_images()
            held.enter_context(enclosure.wanted())
            kinds = {node.kind for name in with_nodes for node in inventory.load(variant_of(name)).nodes}
            lifecycle.ensure_images(kinds, stocked=True)
        yield


def _aside(name: str, settings: dict[str, str], progress: Progress) -> Result:
    """One part in a process of its own, a scenario in an enclosure of its own."""
    begin = time.monotonic()
    output = paths.TESTS / f"{name}.log"
    _cpu_file(name).unlink(missing_ok=True)
    passed = False
    with output.open("w") as file:
        progress.begin(name, output)
        try:
            with ExitStack() as stack:
                # What only computes gives way to what measures.
                before = ["nice", "-n", "10"] if name in WITHOUT_NODES else stack.enter_context(enclosure.opened(name))
                program = f"import sys; from labtool import checks; sys.exit(checks.run_here({name!r}))"
                words = ["setpriv", "--pdeathsig", "TERM", "--", *before, sys.executable, "-P", "-c", program]
                own = {"stdin": subprocess.DEVNULL, "stdout": file, "stderr": file, "env": os.environ | settings}
                passed = subprocess.run(words, **own, check=False).returncode == 0
        except (LabError, OSError) as error:
            print(f"lab: {error}", file=file)
    result = Result(name, PASSED if passed else FAILED, time.monotonic() - begin, _cpu_of(name))
    progress.end(name, result.outcome)
    progress.show(output.read_text(errors="replace"))
    with progress.lock:
        _keep(result)
    return result


def run_here(name: str) -> int:
    """The exit status of one part, which has this process to itself."""
    failed = _run(name, _parts()[name]).outcome == FAILED
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = processes.cpu_seconds() if enclosure.inside() else children.ru_utime + children.ru_stime
    _cpu_file(name).write_text(f"{spent:.0f}\n")
    return int(failed)


def _cpu_file(name: str) -> Path:
    return paths.TESTS / f"{name}.cpu"


def _cpu_of(name: str) -> float:
    try:
        return float(_cpu_file(name).read_text())
    except (OSError, ValueError):
        return 0


def kept_results() -> dict[str, Result]:
    """What became of each part when it was run last."""
    try:
        return {entry["part"]: Result(**entry) for entry in json.loads(RESULTS.read_text())}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _keep(result: Result) -> None:
    kept = kept_results() | {result.part: result}
    RESULTS.write_text(json.dumps([asdict(other) for other in kept.values()], indent=2) + "\n")


def show() -> int:
    """What there is, what became of it, and how long it took last time."""
    kept = kept_results()
    rows = [("PART", "LAST", "SECONDS", "CPU", "WHAT IT IS")]
    for name in names():
        last = kept.get(name)
        told = (last.outcome, f"{last.seconds:.0f}", f"{last.cpu:.0f}") if last else ("", "", "")
        rows.append((name, *told, describe(name)))
    print(render(rows))
    return 0


def describe(name: str) -> str:
    """The first sentence of a scenario's molecule.yml."""
    if name in WITHOUT_NODES:
        return WHAT[name]
    lines = (paths.ROOT / "molecule" / name / "molecule.yml").read_text().splitlines()
    comment = " ".join(line.removeprefix("#").strip() for line in lines if line.startswith("#"))
    return comment.partition(". ")[0].partition(": inventories/")[0]


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
    rows = [("PART", "RESULT", "SECONDS", "CPU")]
    rows += [(result.part, result.outcome, f"{result.seconds:.0f}", f"{result.cpu:.0f}") for result in results]
    count = Counter(result.outcome for result in results)
    total = f"{count[PASSED]} passed, {count[FAILED]} failed"
    if count[LEFT_OUT]:
        total += f", {count[LEFT_OUT]} left out (--without-vms)"
    failures = [line for result in results if result.outcome == FAILED for line in failed_tests(result.part)]
    return "\n\n".join(filter(None, ["\n".join(failures), render(rows), total]))


def report_of(part: str) -> Path:
    """Where pytest tells, in JUnit's format, what came of the tests of a part."""
    return paths.TESTS / f"{part}.xml"


def failed_tests(part: str) -> list[str]:
    """A line for each test of a part that has failed, since its own words may be thousands of lines above."""
    return [f"{part}: {test}: {reason}" for test, reason in failures(part)]


def failures(part: str) -> list[tuple[str, str]]:
    """The tests that failed when a part was run last, and why."""
    if not report_of(part).exists():
        return []
    return [
        (f"{case.get('classname', '').rpartition('.')[2]}::{case.get('name')}", wrong.get("message", "").partition("\n")[0])
        for case in ElementTree.parse(report_of(part)).iter("testcase")
        for wrong in [*case.iter("failure"), *case.iter("error")]
    ]


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
    again = ["--last-failed", "--last-failed-no-failures=all"] if AGAIN in os.environ else []
    return _all_of([["pytest", "tests/unit", f"--junit-xml={report_of('unit')}", *again]])


def scenario(name: str) -> bool:
    """Create, converge, converge again, check mode, verify, destroy."""
    _refuse_incomplete(name)
    command = ["molecule", "--base-config", ".config/molecule/config.yml", "test", "--scenario-name", name]
    with turns.until_tests_begin() as holder:
        # Molecule's own state, by default in the home directory and shared by checkouts of the same name.
        state = {
            "MOLECULE_EPHEMERAL_DIRECTORY": str(paths.LAB / "molecule" / name),
            "PYTEST_ADDOPTS": f"--junit-xml={report_of(name)}",
        }
        return stream(command, env=_environment() | state | holder, cwd=paths.ROOT) == 0


def _refuse_incomplete(name: str) -> None:
    """Molecule passes over a playbook that is missing, and over a folder without tests, with a mere warning."""
    folder = paths.ROOT / "molecule"
    needed = [folder / "shared" / f"{playbook}.yml" for playbook in ("create", "converge", "check_mode", "destroy")]
    missing = [str(path.relative_to(paths.ROOT)) for path in [*needed, inventory.path_of(variant_of(name))] if not path.exists()]
    if not list((folder / name).glob("tests/test_*.py")):
        missing.append(f"molecule/{name}/tests/test_*.py")
    if missing:
        raise LabError(f"The scenario {name} is incomplete, it lacks: {', '.join(missing)}.")
