"""./lab test: runs its parts in parallel, each whether or not the others fail, and prints a summary."""

from __future__ import annotations

import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from labtool import beside, cores, enclosure, inventory, paths, processes, results, sanity, scenarios, yaml_shell
from labtool.environment import environment
from labtool.results import FAILED, LEFT_OUT, PASSED, Result
from labtool.system import LabError, say, stream, try_lock
from labtool.table import render

DEFAULT_INVENTORY = "ideal"
WHAT = {
    "lint": "linters of Python, YAML, Ansible and the documentation; Galaxy's importer",
    "sanity": "ansible-test sanity",
    "unit": "the unit tests",
    "cores": "unit tests with other releases of ansible-core",
}


def names() -> list[str]:
    return list(_parts())


def _parts() -> dict[str, Callable[[], bool]]:
    parts: dict[str, Callable[[], bool]] = {"lint": lint, "sanity": check_sanity, "unit": unit, "cores": check_cores}
    return parts | {name: (lambda name=name: scenario(name)) for name in scenarios.names()}


def test(
    wanted: list[str], *, everything: bool = False, without_vms: bool = False, failed: bool = False, jobs: int | None = None
) -> int:
    parts = names()
    if unknown := [name for name in wanted if name not in parts]:
        raise LabError(f"No such part of the tests: {', '.join(unknown)}. The parts are: {', '.join(parts)}.")
    extra = [name for name in parts if name not in WHAT and scenarios.is_extra(name)]
    usual = [name for name in parts if everything or name not in extra]
    if extra and not wanted and not everything:
        say(f"Only './lab test --all' also runs: {', '.join(extra)}")
    wanted = [name for name in parts if name in wanted] or usual
    if failed:
        wanted = _failed_before(wanted)
    left_out = {name for name in wanted if without_vms and "vm" in _kinds_of(name)}
    to_run = [name for name in wanted if name not in left_out]
    with _this_checkout():
        ran = beside.run(to_run, jobs or beside.how_many_at_once(), again=failed)
    every = [ran.get(name) or Result(name, LEFT_OUT, 0) for name in wanted]
    print(f"\n{results.summary(every)}", flush=True)
    return 1 if any(result.outcome == FAILED for result in every) else 0


def _kinds_of(name: str) -> set[str]:
    return set() if name in WHAT else scenarios.kinds_of(name)


@contextmanager
def _this_checkout() -> Iterator[None]:
    """One run at a time, because output and results are kept in files of the checkout."""
    paths.TESTS.mkdir(parents=True, exist_ok=True)
    with (paths.TESTS / "lock").open("a") as file:
        if not try_lock(file):
            raise LabError("Another './lab test' is running in this checkout. Wait until it has ended, or stop it.")
        yield


def _failed_before(wanted: list[str]) -> list[str]:
    kept = results.kept()
    found = [name for name in wanted if name in kept and kept[name].outcome == FAILED]
    if not found:
        raise LabError("None of these parts failed in its last run. To see all parts and their results: ./lab test --list")
    say(f"Running the failed parts again: {', '.join(found)}")
    return found


def run_here(name: str) -> int:
    """Run one part, which has this process to itself, and return its exit status."""
    passed = _run(name, _parts()[name])
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = processes.cpu_seconds() if enclosure.inside() else children.ru_utime + children.ru_stime
    results.cpu_file(name).write_text(f"{spent:.0f}\n")
    return 0 if passed else 1


def show() -> int:
    """Print all parts, with result and duration of their last run."""
    kept = results.kept()
    rows = [("PART", "LAST", "SECONDS", "CPU", "DESCRIPTION")]
    for name in names():
        last = kept.get(name)
        told = (last.outcome, f"{last.seconds:.0f}", f"{last.cpu:.0f}") if last else ("", "", "")
        rows.append((name, *told, WHAT.get(name) or scenarios.describe(name)))
    print(render(rows))
    return 0


def _run(name: str, part: Callable[[], bool]) -> bool:
    say(f"\n=== Test: {name}")
    begin = time.monotonic()
    results.report_of(name).unlink(missing_ok=True)
    try:
        passed = part()
    except LabError as error:
        say(f"lab: {error}")
        passed = False
    say(f"=== Test: {name}: {PASSED if passed else FAILED} in {time.monotonic() - begin:.1f} s")
    return passed


def _environment() -> dict[str, str]:
    plain = {} if sys.stdout.isatty() else {"NO_COLOR": "1", "ANSIBLE_NOCOLOR": "True"}
    return (
        environment(inventory.path_of(DEFAULT_INVENTORY))
        | plain
        | {"GALAXY_IMPORTER_CONFIG": str(paths.ROOT / ".config" / "galaxy-importer.cfg")}
    )


def _all_of(commands: list[list[str]], place: Path = paths.ROOT) -> bool:
    """Run them all, even after one has failed, so that one run shows everything there is to fix."""
    good = True
    for command in commands:
        say(f"--- {' '.join(command)}")
        good = stream(command, env=_environment(), cwd=place) == 0 and good
    return good


# Types: the nodes' programs are checked as files, because they import each other without a package.
TYPED = (
    ["labtool"],
    ["-p", "ansible_collections.mailcluster.dovecot.plugins"],
    [str(path.relative_to(paths.ROOT)) for path in sorted(paths.ROOT.glob("roles/*/files/*.py"))],
)
SPELT = [
    "README.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "CHANGELOG.md",
    "docs",
    "roles",
    "plugins",
    "playbooks",
    "labtool",
    "inventories",
]


def lint() -> bool:
    good = _all_of(
        [
            ["shellcheck", "lab", ".ci/run", *map(str, paths.ROOT.glob("roles/*/files/*.sh"))],
            ["ruff", "format", "--check", "."],
            ["ruff", "check", "."],
            *(["mypy", *words] for words in TYPED),
            ["codespell", *SPELT],
            ["towncrier", "build", "--draft", "--version", "next"],
            ["yamllint", "--strict", "."],
            ["ansible-lint", "--offline", "--profile", "production"],
            ["antsibull-docs", "lint-collection-docs", "--plugin-docs", "--validate-collection-refs=self", "."],
        ]
    )
    good = _shell_in_yaml() and good
    return good and _importable()


def _shell_in_yaml() -> bool:
    """Run shellcheck on it. Its messages name FILE.yml.LINE, and the line within FILE.yml."""
    with tempfile.TemporaryDirectory() as place:
        written = yaml_shell.write(Path(place))
        return _all_of([["shellcheck", f"--shell={dialect}", *names] for dialect, names in written.items()], Path(place))


def _importable() -> bool:
    """Whether Galaxy would accept the archive."""
    with tempfile.TemporaryDirectory() as place:
        if not _all_of([["ansible-galaxy", "collection", "build", "--output-path", place]]):
            return False
        archive = next(Path(place).glob("*.tar.gz"))
        # It writes a report into its working directory.
        return _all_of([["python", "-m", "galaxy_importer.main", str(archive)]], Path(place))


def check_sanity() -> bool:
    return sanity.check(_environment())


def check_cores() -> bool:
    return cores.check(_environment())


def unit() -> bool:
    again = ["--last-failed", "--last-failed-no-failures=all"] if beside.AGAIN in os.environ else []
    return _all_of([["pytest", "tests/unit", f"--junit-xml={results.report_of('unit')}", *again]])


def scenario(name: str) -> bool:
    """Create, converge, converge again, check mode, verify, destroy."""
    scenarios.refuse_incomplete(name)
    command = ["molecule", "--base-config", ".config/molecule/config.yml", "test", "--scenario-name", name]
    # By default, Molecule keeps its state in the home directory, where checkouts of the same name would share it.
    state = {
        "MOLECULE_EPHEMERAL_DIRECTORY": str(paths.LAB / "molecule" / name),
        "PYTEST_ADDOPTS": f"--junit-xml={results.report_of(name)}",
    }
    return stream(command, env=_environment() | state, cwd=paths.ROOT) == 0
