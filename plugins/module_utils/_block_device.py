# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is on a block device, and who uses it. Nothing here writes to one but what is run by call."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from typing import Any, Optional, TypedDict

from ansible_collections.mailcluster.dovecot.plugins.module_utils import _sbd
from ansible_collections.mailcluster.dovecot.plugins.module_utils._errors import Failure
from ansible_collections.mailcluster.dovecot.plugins.module_utils._sbd import FenceDisk
from ansible_collections.mailcluster.dovecot.plugins.module_utils._types import Run

# Written by the module mail_device, on each node: what it has made there.
MADE = "/var/lib/mailcluster-dovecot/device.json"


class Signature(TypedDict):
    """What C(wipefs) finds (a file system, a partition table, metadata of DRBD, ...), and the header of sbd."""

    type: str
    uuid: str


class Made(TypedDict, total=False):
    """What was made of a device. ready: to its end."""

    device: str
    storage: str
    uuid: str
    filesystem: str
    ready: bool


class Device(TypedDict):
    path: str
    block: bool
    size: int
    uses: list[str]
    signatures: list[Signature]
    ours: bool
    ready: bool
    filesystem: str


def signatures_of(printed: str) -> list[Signature]:
    """Of what C(wipefs --json) prints, nothing when there is none."""
    found = json.loads(printed or "{}").get("signatures", [])
    return [{"type": entry.get("type") or "unknown", "uuid": entry.get("uuid") or ""} for entry in found]


def uses_of(printed: str) -> list[str]:
    """Who uses a device, of what C(lsblk --json) prints, in words."""
    (device,) = json.loads(printed)["blockdevices"]
    return list(_mounts(device)) + [
        "has the partition %s" % child["name"]
        if child["type"] == "part"
        else "is part of %s (%s)" % (child["name"], child["type"])
        for child in device.get("children", [])
        # the active node's DRBD
        if not child["name"].startswith("/dev/drbd")
    ]


def _mounts(device: dict[str, Any]) -> Iterator[str]:
    for point in filter(None, device.get("mountpoints", [])):
        yield "is swap" if point == "[SWAP]" else "has the file system mounted at %s" % point
    for child in device.get("children", []):
        if not child["name"].startswith("/dev/drbd"):
            yield from _mounts(child)


def size_of(printed: str) -> int:
    return int(json.loads(printed)["blockdevices"][0]["size"])


def made(path: str = MADE) -> Made:
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise Failure(
            "%s is damaged (%s): it tells which device this collection has made; write it again as docs/active_passive.md tells, "
            "or remove it if the device is empty" % (path, error)
        ) from error


def is_block(path: str) -> bool:
    try:
        return stat.S_ISBLK(os.stat(path).st_mode)
    except OSError:
        return False


def signatures(run: Run, path: str) -> list[Signature]:
    rc, out, err = run(["wipefs", "--no-act", "--json", path])
    if rc != 0:
        raise Failure("'wipefs --no-act %s' failed: %s" % (path, err.strip()))
    header = _sbd.header(path) if is_block(path) else None
    return signatures_of(out) + ([{"type": "sbd", "uuid": header["uuid"]}] if header else [])


def read(run: Run, path: str, record: str = MADE) -> Device:
    """A device as it is. ours: what is on it was made by the module mail_device."""
    known = made(record)
    if not is_block(path):
        return {
            "path": path, "block": False, "size": 0, "uses": [], "signatures": [], "ours": False, "ready": False, "filesystem": ""
        }  # fmt: skip
    rc, out, err = run(["lsblk", "--json", "--bytes", "--paths", "--output", "NAME,TYPE,SIZE,MOUNTPOINTS", path])
    if rc != 0:
        raise Failure("'lsblk %s' failed: %s" % (path, err.strip()))
    found = signatures(run, path)
    ours = is_made(known, found)
    return {
        "path": path,
        "block": True,
        "size": size_of(out),
        "uses": uses_of(out),
        "signatures": found,
        "ours": ours,
        "ready": ours and bool(known.get("ready")),
        "filesystem": known.get("filesystem", "") if ours else "",
    }


def read_fence_disk(run: Run, path: str) -> FenceDisk:
    """A disk by which nodes fence each other, as it is."""
    if not is_block(path):
        return {"path": path, "block": False, "blank": False, "found": "", "header": None}
    header, found = _sbd.header(path), signatures(run, path)
    words = uses_of(call(run, "lsblk", "--json", "--paths", "--output", "NAME,TYPE,MOUNTPOINTS", path))
    if found and not header:
        words.append("has %s" % described(found))
    return {"path": path, "block": True, "blank": not words and not found, "found": " and ".join(words), "header": header}


def is_made(known: Made, found: list[Signature]) -> bool:
    """Whether what is on a device is what was made there. It is known by its UUID, as names of devices change."""
    return bool(known.get("uuid")) and any(entry["uuid"] == known["uuid"] for entry in found)


def described(found: list[Signature]) -> str:
    return ", ".join(entry["type"] + (" (UUID %s)" % entry["uuid"] if entry["uuid"] else "") for entry in found)


def of(found: list[Signature], kind: str) -> Optional[Signature]:
    return next((entry for entry in found if entry["type"] == kind), None)


def call(run: Run, *argv: str, **how: Any) -> str:
    """What a program prints that works on devices. I(how): what else run_command takes."""
    rc, out, err = run(list(argv), **how)
    if rc != 0:
        # drbdadm shows the whole command that failed, with the secret of the pair in it
        lines = [line.strip() for line in (err.strip() or out.strip()).splitlines() if not line.startswith("Command '")]
        raise Failure("'%s' failed: %s" % (" ".join(argv)[:200], " ".join(lines)[-300:] or "exit status %d" % rc))
    return out
