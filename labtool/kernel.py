"""The one limit of the machine's kernel that many systemds at once run into."""

from __future__ import annotations

from pathlib import Path

from labtool import paths
from labtool.system import say

# Seven of these go to each node, and the default of 128 is shared with all else on the machine.
INOTIFY = Path("/proc/sys/fs/inotify/max_user_instances")
ENOUGH = 1024
RECORD = paths.STATE / "inotify"


def raise_limits() -> None:
    before = INOTIFY.read_text().strip()
    if int(before) < ENOUGH:
        say(f"Raising fs.inotify.max_user_instances from {before} to {ENOUGH}; './lab down' puts it back")
        RECORD.write_text(before)
        INOTIFY.write_text(str(ENOUGH))


def restore_limits() -> bool:
    """Put the limit back unless somebody else has changed it since."""
    if not RECORD.exists():
        return False
    if ours := INOTIFY.read_text().strip() == str(ENOUGH):
        INOTIFY.write_text(RECORD.read_text())
    RECORD.unlink()
    return ours
