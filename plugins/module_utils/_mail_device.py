# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes the storage of an active/passive pair, only where there is nothing: metadata of DRBD, and one file system.

Whatever is interrupted is taken up by the next run: each step looks for itself at what is there.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Sequence
from typing import TypedDict

from ansible_collections.mailcluster.dovecot.plugins.module_utils import _block_device
from ansible_collections.mailcluster.dovecot.plugins.module_utils._block_device import Made, Signature
from ansible_collections.mailcluster.dovecot.plugins.module_utils._errors import Failure
from ansible_collections.mailcluster.dovecot.plugins.module_utils._mounts import mounted_at
from ansible_collections.mailcluster.dovecot.plugins.module_utils._types import Result, Run

DRBD = "/dev/drbd0"
MAKE = {"ext4": ["mkfs.ext4", "-q", "-L", "mail"], "xfs": ["mkfs.xfs", "-q", "-L", "mail"]}
# The generation of data that DRBD gives to metadata which were just made: nobody has written with them.
JUST_CREATED = "0000000000000004"
PEER = 10  # seconds for a peer to be seen


class Params(TypedDict):
    storage: str
    device: str
    resource: str
    filesystem: str
    existing: str
    directory: str
    uid: int
    gid: int
    step: str
    uuid: str


class MailDevice:
    """One call of the module. C(done): what was made, in words."""

    def __init__(self, params: Params, run: Run, check_mode: bool = False, record: str = _block_device.MADE) -> None:
        self.params, self.run, self.check_mode, self.record = params, run, check_mode, record
        self.known = _block_device.made(record)
        self.done: list[str] = []

    def __call__(self) -> Result:
        filesystem = getattr(self, self.params["step"])()
        return {"changed": bool(self.done), "made": self.done, "filesystem": filesystem or self.known.get("filesystem", "")}

    # --- steps

    def attach(self) -> str:
        """DRBD's metadata, on a device that is empty."""
        found = self.signatures(self.params["device"])
        if _block_device.is_made(self.known, found):
            return ""
        drbd = _block_device.of(found, "drbd")
        if drbd and self.params["existing"]:
            self.note({"uuid": drbd["uuid"]})
            self.done.append("uses the metadata of DRBD on %s" % self.params["device"])
            if not self.check_mode:
                # connected, so that the two find out whose data are newer
                self.call("drbdadm", "adjust", self.params["resource"])
            return ""
        self.refuse_used(found)
        self.done.append("metadata of DRBD on %s" % self.params["device"])
        if not self.check_mode:
            self.call("drbdadm", "create-md", "--force", self.params["resource"])
            made = _block_device.of(self.signatures(self.params["device"]), "drbd")
            if made is None:
                raise Failure("drbdadm has made no metadata on %s that can be seen" % self.params["device"])
            self.note({"uuid": made["uuid"]})
            if self.known.get("ready"):
                # a new disk of a node that goes on without one
                self.call("drbdadm", "adjust", self.params["resource"])
        return ""

    def format(self) -> str:
        """The file system: on the LUN, or on DRBD's device of the first of two nodes that have never served."""
        if self.params["storage"] == "lun":
            return self.format_on(self.params["device"])
        if self.check_mode:
            self.done.append("an %s file system on %s" % (self.params["filesystem"], DRBD))
            return ""
        self.call("drbdadm", "adjust", self.params["resource"])
        self.promote()
        try:
            return self.format_on(DRBD)
        finally:
            self.call("drbdadm", "secondary", self.params["resource"])

    def finish(self) -> str:
        """All is made; Pacemaker alone has it from now on."""
        if self.params["storage"] == "lun":
            self.see()
        if self.known.get("ready"):
            return self.known["filesystem"]
        if not self.params["uuid"] and not self.check_mode:
            raise Failure("the other node has made no file system, see above; the next run goes on from here")
        self.done.append("storage of the pair")
        if not self.check_mode:
            if self.params["storage"] == "drbd":
                self.call("drbdadm", "down", self.params["resource"])
            self.make_mount_point()
            self.note({"filesystem": self.params["uuid"], "ready": True})
        return self.params["uuid"]

    def see(self) -> None:
        """The other node's file system is on this node's LUN too, so it is the same."""
        found = self.signatures(self.params["device"])
        if self.check_mode and not self.params["uuid"]:
            return
        if not any(entry["uuid"] == self.params["uuid"] for entry in found):
            raise Failure(
                "%s does not have the file system %s that the other node has there (found: %s): it is another LUN. Give both "
                "nodes the same" % (self.params["device"], self.params["uuid"], _block_device.described(found) or "nothing")
            )
        if self.known.get("uuid") != self.params["uuid"] and not self.check_mode:
            self.note({"uuid": self.params["uuid"]})

    # --- their parts

    def promote(self) -> None:
        """Makes this node's data the valid ones only if neither node has ever had any."""
        own, peer = self.disks()
        if own == "UpToDate":
            self.call("drbdadm", "primary", self.params["resource"])
            return
        generations = self.call("drbdadm", "get-gi", self.params["resource"]).split(":")
        if own != "Inconsistent" or generations[0] != JUST_CREATED or peer not in ("Inconsistent", "DUnknown"):
            raise Failure(
                "DRBD has data on %s (%s here, %s on the other node), so nothing was made: see docs/active_passive.md, The "
                "storage cannot be made" % (self.params["device"], own, peer)
            )
        self.done.append("the first data of DRBD, which the other node gets from here")
        self.call("drbdadm", "primary", "--force", self.params["resource"])

    def disks(self) -> tuple[str, str]:
        """Of this node and of its peer: C(UpToDate), C(Inconsistent), C(DUnknown), ..."""
        end = time.monotonic() + PEER
        while True:
            own, _slash, peer = self.call("drbdadm", "dstate", self.params["resource"]).strip().partition("/")
            if peer != "DUnknown" or time.monotonic() >= end:
                return own, peer
            time.sleep(0.5)

    def format_on(self, device: str) -> str:
        kind, existing = self.params["filesystem"], self.params["existing"]
        found = self.signatures(device)
        there = _block_device.of(found, kind)
        if there and there["uuid"] in (existing, self.known.get("filesystem")):
            if there["uuid"] != existing and not self.known.get("ready") and not self.check_mode:
                # the last run may have been interrupted right before
                self.give_to_mail_user(device)
            self.note_filesystem(there)
            return there["uuid"]
        if existing:
            raise Failure(
                "%s has no %s file system with the UUID %s (dovecot_active_passive_existing_filesystem), but %s: nothing was made"
                % (device, kind, existing, _block_device.described(found) or "nothing")
            )
        if found:
            self.refuse_used(found, device)
        self.done.append("an %s file system on %s" % (kind, device))
        if self.check_mode:
            return ""
        self.call(*MAKE[kind], device)
        made = _block_device.of(self.signatures(device), kind)
        if made is None:
            raise Failure("%s has made no file system on %s that can be seen" % (MAKE[kind][0], device))
        self.note_filesystem(made)
        self.give_to_mail_user(device)
        return made["uuid"]

    def note_filesystem(self, there: Signature) -> None:
        if self.params["storage"] == "lun":
            self.note({"uuid": there["uuid"], "filesystem": there["uuid"]})
        else:
            self.note({"filesystem": there["uuid"]})

    def give_to_mail_user(self, device: str) -> None:
        point = tempfile.mkdtemp(prefix="mailcluster-")
        self.call("mount", "-t", self.params["filesystem"], device, point)
        try:
            os.chown(point, self.params["uid"], self.params["gid"])
            os.chmod(point, 0o700)
        finally:
            self.call("umount", point)
            os.rmdir(point)

    def make_mount_point(self) -> None:
        """A folder that the mail user cannot write to, below the mount."""
        directory = self.params["directory"]
        with open("/proc/self/mountinfo", encoding="utf-8") as file:
            mounted = mounted_at(file.read(), directory)
        if not mounted:
            os.makedirs(directory, exist_ok=True)
            os.chown(directory, 0, 0)
            os.chmod(directory, 0o555)

    def refuse_used(self, found: Sequence[Signature], device: str = "") -> None:
        device = device or self.params["device"]
        if found:
            raise Failure(
                "%s is not empty, it has %s: nothing was made. If nobody needs that any more, empty it with 'wipefs --all %s', "
                "and run again" % (device, _block_device.described(list(found)), device)
            )

    def signatures(self, device: str) -> list[Signature]:
        return _block_device.signatures(self.run, device)

    def note(self, more: Made) -> None:
        """What was made so far, by rename, so that it is whole."""
        self.known = {**self.known, "device": self.params["device"], "storage": self.params["storage"], **more}
        if self.check_mode:
            return
        os.makedirs(os.path.dirname(self.record), mode=0o700, exist_ok=True)
        with open(self.record + ".new", "w", encoding="utf-8") as file:
            json.dump(self.known, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        os.rename(self.record + ".new", self.record)

    def call(self, *argv: str) -> str:
        return _block_device.call(self.run, *argv)
