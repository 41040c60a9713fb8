"""Runs the tests in which Ansible reads inventories and runs plugins, with other releases of ansible-core than the lab's own.

Each release has its own virtual environment, which uses a Python of this machine. It is kept until its requirements change.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from labtool import paths
from labtool.system import python_behind, run, say, stream

# Release: the Pythons that it runs on, newest first. What works with the lab's own and with the newest works with those between.
RELEASES = {"2.21": ("3.14", "3.13", "3.12")}
TESTS = (
    "tests/unit/playbooks/test_judgement.py",
    "tests/unit/playbooks/test_plugins.py",
    "tests/unit/playbooks/test_collection.py",
    "tests/unit/plugins/action",
)
# In the names of tests that try random inventories for a minute: they look for what is wrong with ours, not with Ansible.
AT_LENGTH = "whatever"
# What these tests import, as it begins in lab-requirements.txt.
NEEDED = ("aiosmtpd", "hypothesis", "passlib", "pytest==")


def check(environment: dict[str, str]) -> bool:
    good = True
    for release, versions in RELEASES.items():
        python = next(filter(None, map(find, versions)), None)
        if python is None:
            say(f"ansible-core {release} is skipped: it needs Python {versions[-1]} or later, which is not installed")
            continue
        programs = environment_of(release, python) / "bin"
        say(f"--- ansible-core {release} with {python}")
        good = (
            stream(
                [programs / "pytest", "-q", "-k", f"not {AT_LENGTH}", *TESTS],
                env=environment | {"PATH": f"{programs}:{environment['PATH']}", "VIRTUAL_ENV": str(programs.parent)},
                cwd=paths.ROOT,
            )
            == 0
            and good
        )
    return good


def find(version: str) -> Path | None:
    """A working Python of this version."""
    places: list[str | Path | None] = [
        shutil.which(f"python{version}"),
        *sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python{version}")),
    ]
    return next((python for place in places if place and (python := python_behind(place))), None)


def environment_of(release: str, python: Path) -> Path:
    place = paths.LAB / "cores" / release
    lines = (paths.ROOT / "lab-requirements.txt").read_text().splitlines()
    wanted = [f"ansible-core~={release}.0", "PyYAML", *(line for line in lines if line.startswith(NEEDED))]
    stamp, told = place / ".stamp", "\n".join([str(python), str(paths.ROOT), *wanted])
    if not stamp.exists() or stamp.read_text() != told:
        shutil.rmtree(place, ignore_errors=True)
        run([python, "-m", "venv", place])
        run([place / "bin" / "pip", "install", "--quiet", "--disable-pip-version-check", *wanted])
        # The tests import labtool.
        next(place.glob("lib/python3*/site-packages")).joinpath("lab.pth").write_text(f"{paths.ROOT}\n")
        stamp.write_text(told)
    return place
