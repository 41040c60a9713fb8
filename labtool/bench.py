"""Runs the scripts of benchmarks/ in the lab's environment."""

from __future__ import annotations

from labtool import inventory, lifecycle, paths
from labtool.environment import environment
from labtool.system import LabError, say, stream

UNFIT = 77  # as benchmarks/_lab.py has it
FOLDER = paths.ROOT / "benchmarks"


# Those that run for as long as --minutes says.
ENDLESS = ("chaos",)


def run(names: list[str], *, only_list: bool = False, minutes: float | None = None) -> int:
    found = {path.stem: path for path in sorted(FOLDER.glob("*.py")) if not path.stem.startswith("_")}
    if only_list:
        print("\n".join(found))
        return 0
    unknown = sorted(set(names) - set(found))
    if unknown:
        raise LabError(f"No such benchmark: {', '.join(unknown)}. There are: {', '.join(found) or '(none)'}.")
    if minutes is not None and (not names or set(names) - set(ENDLESS)):
        raise LabError(f"--minutes only works for {', '.join(ENDLESS)}: ./lab bench {ENDLESS[0]} --minutes {minutes:g}")
    if not found:
        raise LabError(f"{FOLDER} contains no benchmarks.")
    variant = lifecycle.current_variant() or "ideal"
    settings = environment(inventory.path_of(variant))
    words = [] if minutes is None else [f"--minutes={minutes}"]
    failed = []
    for name in names or found:
        say(f"\n=== {name}")
        status = stream([paths.VENV / "bin" / "python", found[name], *words], env=settings, cwd=paths.ROOT)
        # When all are run, those that do not fit this cluster are skipped. One that was named must fit.
        if status != 0 and (names or status != UNFIT):
            failed.append(name)
    if failed:
        raise LabError(f"These benchmarks failed: {', '.join(failed)}.")
    return 0
