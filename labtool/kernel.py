"""Limits of the machine's kernel, which container nodes share."""

from __future__ import annotations

import json
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
RECORD = paths.STATE / "kernel.json"


def raise_limits(labs: int = 1) -> None:
    """Raise them for this many labs at a time."""
    enough = ENOUGH * labs
    before = {name: int((SETTINGS / name).read_text()) for name in (INOTIFY, *RAISED_BY_ROLES)}
    if not RECORD.exists():
        RECORD.write_text(json.dumps(before))
    if before[INOTIFY] < enough:
        say(f"Raising fs.inotify.max_user_instances from {before[INOTIFY]} to {enough}. './lab down' restores it.")
        (SETTINGS / INOTIFY).write_text(str(enough))


def restore_limits() -> bool:
    """Restore what the lab, or the roles on its nodes, have raised since."""
    if not RECORD.exists():
        return False
    raised = {name: value for name, value in json.loads(RECORD.read_text()).items() if int((SETTINGS / name).read_text()) > value}
    for name, value in raised.items():
        (SETTINGS / name).write_text(str(value))
    RECORD.unlink()
    return bool(raised)
