# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Both nodes of an active/passive pair have written alone: what each side did, and giving one side up."""

from __future__ import annotations

import os
import re
import tempfile
import time
from collections.abc import Iterable, Iterator
from typing import Any, TypedDict

from ansible_collections.mailcluster.dovecot.plugins.module_utils._block_device import call
from ansible_collections.mailcluster.dovecot.plugins.module_utils._errors import Failure
from ansible_collections.mailcluster.dovecot.plugins.module_utils._pacemaker import parse_drbd, read_proc
from ansible_collections.mailcluster.dovecot.plugins.module_utils._types import Result, Run

# Without replaying the journal, which would change blocks behind DRBD's back.
READ_ONLY = {"ext4": "ro,noload", "xfs": "ro,norecovery"}
BATCH = 500  # files for one cp
TOGETHER = r"Connected|Sync\w+|PausedSync\w+|Verify\w+"
PATIENCE = 60  # seconds for Pacemaker to let go of the device


class Side(TypedDict):
    """lost: seconds since the epoch at which it lost the other node, 0 if that is not known; wrote: a sentence."""

    connection: str
    role: str
    lost: float
    wrote: str


def history(lines: Iterable[str]) -> tuple[float, str]:
    """When the nodes lost each other, and when this one could write since then. I(lines): the kernel's, each behind its time."""
    lost, primary_from = 0.0, 0.0
    told: list[str] = []
    for line in lines:
        stamp, _space, words = line.partition(" ")
        if not re.fullmatch(r"[\d.]+", stamp):
            continue
        at = float(stamp)
        if re.search(r"conn\( (%s) -> (?!%s)" % (TOGETHER, TOGETHER), words):
            lost, told = at, []
        if "role( Secondary -> Primary )" in words:
            primary_from = at
        elif "role( Primary -> Secondary )" in words and primary_from:
            told.append("from %s until %s" % (shown(primary_from), shown(at)))
            primary_from = 0.0
    if primary_from:
        told.append("since %s" % shown(primary_from))
    return lost, " and ".join(told)


def connected(connection: str) -> bool:
    return re.fullmatch(TOGETHER, connection) is not None


def shown(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))


def look(run: Run) -> Side:
    drbd = parse_drbd(read_proc())
    # all boots
    rc, out, err = run(["journalctl", "_TRANSPORT=kernel", "--grep", "drbd", "--output=short-unix", "--no-pager", "--quiet"])
    lost, wrote = history(out.splitlines() if rc == 0 else ())
    return {"connection": drbd["connection"], "role": drbd["role"], "lost": lost, "wrote": wrote}


class Copy:
    """This node's copy of the mail."""

    def __init__(self, run: Run, resource: str, device: str, filesystem: str) -> None:
        self.run, self.resource, self.device, self.filesystem = run, resource, device, filesystem

    def connect(self) -> None:
        """Look for the other node again, after DRBD gave up."""
        self.call("drbdadm", "connect", self.resource)

    def discard(self, keep_in: str, since: float) -> Result:
        """Give it up, after what has changed in it was put aside."""
        self.await_free()
        self.call("drbdadm", "down", self.resource)
        try:
            kept = self.keep(keep_in, since) if keep_in else {"kept": "", "files": 0}
        finally:
            self.call("drbdadm", "up", self.resource)
        self.call("drbdadm", "disconnect", self.resource)
        self.call("drbdadm", "connect", "--discard-my-data", self.resource)
        return kept

    def await_free(self) -> None:
        """The node is on standby, so Pacemaker stops DRBD; not while it does, or it would stop what is started here."""
        end = time.monotonic() + PATIENCE
        while (drbd := parse_drbd(read_proc()))["connection"] != "Unconfigured" and time.monotonic() < end:
            time.sleep(1)
        if drbd["role"] == "Primary":
            raise Failure("this node still uses its copy of the mail (DRBD is Primary here), so nothing was given up")

    def keep(self, keep_in: str, since: float) -> Result:
        point = tempfile.mkdtemp(prefix="mailcluster-")
        self.call("mount", "-t", self.filesystem, "-o", READ_ONLY[self.filesystem], self.device, point)
        try:
            found = list(changed_files(point, since))
            self.refuse_without_room(keep_in, sum(size for _path, size in found))
            folder = os.path.join(keep_in, time.strftime("%Y-%m-%dT%H-%M-%S"))
            os.makedirs(folder, mode=0o700)
            names = [path for path, _size in found]
            for start in range(0, len(names), BATCH):
                self.call(
                    "cp", "--archive", "--parents", "--target-directory", folder, "--", *names[start : start + BATCH], cwd=point
                )
        finally:
            self.call("umount", point)
            os.rmdir(point)
        return {"kept": folder, "files": len(names)}

    def refuse_without_room(self, keep_in: str, needed: int) -> None:
        os.makedirs(keep_in, mode=0o700, exist_ok=True)
        room = os.statvfs(keep_in)
        free = room.f_bavail * room.f_frsize
        if needed > free:
            raise Failure(
                "keep_in: the copy needs %d MiB, and %s has %d MiB free, so nothing was given up: name a folder with more room"
                % (needed >> 20, keep_in, free >> 20)
            )

    def call(self, *argv: str, **how: Any) -> str:
        return call(self.run, *argv, **how)


def changed_files(top: str, since: float) -> Iterator[tuple[str, int]]:
    """Files below a folder, relative to it, whose content or name has changed since then, with their sizes."""
    for folder, _folders, names in os.walk(top):
        for name in names:
            path = os.path.join(folder, name)
            status = os.lstat(path)
            if status.st_ctime >= since:
                yield os.path.relpath(path, top), status.st_size
