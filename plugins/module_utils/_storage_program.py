# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What M(mailcluster.dovecot.storage_probe) does on the storage itself.

It runs as the mail user in a process of its own, which is left behind when it waits for a dead server. It imports nothing but the
standard library, since that process gets this file's source and nothing else.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import sys
import time
from collections.abc import Callable

LOCKS = {"fcntl": fcntl.lockf, "flock": fcntl.flock}


def write(path: str, root: str) -> dict[str, object]:
    """Makes a file. Tells the owner of the folder C(root), and the file's time between two of this node's clock, or an error."""
    owner = os.stat(root)
    told: dict[str, object] = {"owner": [owner.st_uid, owner.st_gid]}
    try:
        file = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        begin = time.time()
        os.write(file, b"probe\n")
        os.fsync(file)
        told["clock"] = [begin, os.fstat(file).st_mtime, time.time()]
    except OSError as error:
        told["error"] = str(error.strerror)
    return told


def hold(kind: str, path: str) -> None:
    """Locks a file until it is told to end, and removes it then."""

    def end(*_signal: object) -> None:
        os.unlink(path)
        raise SystemExit

    signal.signal(signal.SIGTERM, end)
    with open(path, "r+b") as file:
        LOCKS[kind](file, fcntl.LOCK_EX)
        while True:
            signal.pause()


def state_of(kind: str, path: str) -> str:
    try:
        with open(path, "r+b") as file:
            LOCKS[kind](file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return "unlocked"
    except FileNotFoundError:
        return "hidden"
    except BlockingIOError:
        return "locked"
    except OSError as error:
        return "error: %s" % error.strerror


def see(kind: str, patience: str, *paths: str) -> list[str]:
    """What is seen of files that other nodes hold, once all are locked or the patience (seconds) is over."""
    limit = time.monotonic() + float(patience)
    told = [state_of(kind, path) for path in paths]
    while set(told) - {"locked"} and time.monotonic() < limit:
        time.sleep(0.2)
        told = [state_of(kind, path) for path in paths]
    return told


if __name__ == "__main__":
    verbs: dict[str, Callable[..., object]] = {"write": write, "hold": hold, "see": see}
    sys.stdout.write(json.dumps(verbs[sys.argv[1]](*sys.argv[2:])))
