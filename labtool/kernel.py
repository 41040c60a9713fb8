"""Limits of the machine's kernel, which container nodes share."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from labtool import paths
from labtool.system import say

SETTINGS = Path("/proc/sys")
# The systemd of each node takes seven of these, and the default of 128 is for the whole machine. This is only what the nodes need
# to start. The roles raise the limit for the sessions of mail users.
INOTIFY = "fs/inotify/max_user_instances"
ENOUGH = 256  # for one lab
# Limits that the roles raise if they are too low, and that containers share with the machine.
RAISED_BY_ROLES = ("fs/inotify/max_user_watches", "fs/file-max", "kernel/pid_max", "kernel/threads-max")
# Whether each session gets the same share of the processors, whatever the priority of its processes.
AUTOGROUP = "kernel/sched_autogroup_enabled"
RECORD = paths.STATE / "kernel.json"


def raise_limits(labs: int = 1) -> None:
    """Raise them for this many labs at a time."""
    enough = ENOUGH * labs
    names = [name for name in (INOTIFY, AUTOGROUP, *RAISED_BY_ROLES) if (SETTINGS / name).exists()]
    before = {name: int((SETTINGS / name).read_text()) for name in names}
    if not RECORD.exists():
        RECORD.write_text(json.dumps(before))
    if before[INOTIFY] < enough:
        say(f"Raising fs.inotify.max_user_instances from {before[INOTIFY]} to {enough}. './lab down' restores it.")
        (SETTINGS / INOTIFY).write_text(str(enough))


@contextmanager
def obeying_priorities() -> Iterator[None]:
    """Let a process with low priority leave the processors to those of other sessions, too: each service of a node is one."""
    file = SETTINGS / AUTOGROUP
    before = file.read_text() if file.exists() else ""
    if before:
        file.write_text("0")
    try:
        yield
    finally:
        if before:
            file.write_text(before)


def restore_limits() -> bool:
    """Restore what the lab, or the roles on its nodes, have changed since."""
    if not RECORD.exists():
        return False
    before = json.loads(RECORD.read_text())
    changed = {name: value for name, value in before.items() if _differs(name, value)}
    for name, value in changed.items():
        (SETTINGS / name).write_text(str(value))
    RECORD.unlink()
    return bool(changed)


def _differs(name: str, before: int) -> bool:
    """Limits that have become lower since were lowered by someone else."""
    now = int((SETTINGS / name).read_text())
    return now != before if name == AUTOGROUP else now > before
