"""Debian packages that only some inventories need; ./lab itself installs those that all need."""

from __future__ import annotations

import os

from labtool.system import LabError, complaint, run, say


def ensure(*names: str) -> None:
    """Install those of the packages that are missing."""
    query = ["dpkg-query", "--show", "--showformat=${db:Status-Status} ${Package}\n", *names]
    absent = missing(run(query, check=False).stdout, names)
    if not absent:
        return
    say(f"Installing Debian packages: {' '.join(absent)}")
    settings = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    # A broken package source that is not needed must not stop us: only the installation counts.
    run(["apt-get", "update"], env=settings, check=False, to_the_end=True)
    # Somebody else may be installing, as scenarios beside each other are.
    command = ["apt-get", "install", "-y", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=300", *absent]
    result = run(command, env=settings, check=False, to_the_end=True)
    if result.returncode != 0:
        raise LabError(
            f"apt-get could not install {' '.join(absent)}:\n{complaint(result)}\n"
            "Virtual machines (lab_node: vm) need them. Fix the package sources, then run this again."
        )


def missing(listed: str, names: tuple[str, ...]) -> list[str]:
    """Of the names, those that dpkg-query does not list as installed."""
    present = {line.removeprefix("installed ") for line in listed.splitlines() if line.startswith("installed ")}
    return [name for name in names if name not in present]
