# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Removes the lock files that are older than this Dovecot: the node that had the mail before has left them when it died.

Such a file may be empty, since its content was never written to the disk, and Dovecot waits two minutes for each. The file
system is mounted on one node at a time, and the locks of a Dovecot that was stopped in order are gone: so nobody has these.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

UNIT = "dovecot.service"
# Folders of messages: they may be large, and have no locks.
WITHOUT_LOCKS = frozenset({"cur", "new", "tmp", "storage"})


def is_lock(name: str) -> bool:
    return name.endswith(".lock") and name.startswith(("dovecot", ".dovecot", "subscriptions", ".subscriptions"))


def stale(folder: str, before: float) -> Iterator[str]:
    """The lock files below a folder that were changed before that time."""
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name not in WITHOUT_LOCKS]
        for name in filter(is_lock, files):
            path = os.path.join(place, name)
            try:
                if os.lstat(path).st_mtime < before:
                    yield path
            except FileNotFoundError:
                continue


def started_at() -> float:
    """When this Dovecot was started, in seconds since 1970."""
    shown = subprocess.run(
        ["systemctl", "show", "--property=InactiveExitTimestampMonotonic", "--value", UNIT],
        capture_output=True,
        text=True,
        check=True,
    )
    with open("/proc/uptime", encoding="ascii") as file:
        uptime = float(file.read().split()[0])
    return os.stat("/proc/self").st_ctime - uptime + int(shown.stdout) / 1_000_000


def main(folder: str) -> None:
    for path in stale(folder, started_at()):
        try:
            os.unlink(path)
            print(f"removed {path}, which a node that died has left", flush=True)
        except FileNotFoundError:
            continue


if __name__ == "__main__":
    main(sys.argv[1])
