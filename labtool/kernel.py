"""Limits of the machine's kernel that the nodes, which are containers, share with it."""

from __future__ import annotations

import json
from pathlib import Path

from labtool import paths
from labtool.system import say

SETTINGS = Path("/proc/sys")
# Seven of these go to the systemd of each node, and the default of 128 is shared with all else on the machine. No more than
# the nodes need to start: those for the sessions of mail users are the roles' affair.
INOTIFY = "fs/inotify/max_user_instances"
ENOUGH = 256  # for one lab
# What the roles raise where it is too low, and no container has of its own.
RAISED_BY_ROLES = ("fs/inotify/max_user_watches", "fs/file-max", "kernel/pid_max", "kernel/threads-max")
RECORD = paths.STATE / "kernel.json"


def raise_limits(labs: int = 1) -> None:
    """For so many labs at once."""
    enough = ENOUGH * labs
    before = {name: int((SETTINGS / name).read_text()) for name in (INOTIFY, *RAISED_BY_ROLES)}
    if not RECORD.exists():
        RECORD.write_text(json.dumps(before))
    if before[INOTIFY] < enough:
        say(f"Raising fs.inotify.max_user_instances from {before[INOTIFY]} to {enough}; './lab down' puts it back")
        (SETTINGS / INOTIFY).write_text(str(enough))


def restore_limits() -> bool:
    """Put back what was raised since, by the lab or by the roles on its nodes."""
    if not RECORD.exists():
        return False
    raised = {name: value for name, value in json.loads(RECORD.read_text()).items() if int((SETTINGS / name).read_text()) > value}
    for name, value in raised.items():
        (SETTINGS / name).write_text(str(value))
    RECORD.unlink()
    return bool(raised)
