# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disks by which nodes fence each other with sbd: what is on them, and how one is made. wipefs does not know their header."""

from __future__ import annotations

import struct
import uuid
from collections.abc import Sequence
from typing import BinaryIO, Optional, TypedDict

MAGIC = b"SBD_SBD_"
SECTOR = 512  # the least that a disk has
# magic, version, slots, sector size, timeouts (watchdog, allocate, loop, msgwait), minor version, UUID: see sbd(8), "dump"
HEADER = struct.Struct(">8sBBxxIIIIIB16s")


class Header(TypedDict):
    """uuid: as C(sbd dump) shows it; watchdog, msgwait: seconds; nodes: those that have a slot, as C(sbd list) shows them."""

    uuid: str
    watchdog: int
    msgwait: int
    nodes: list[str]


class FenceDisk(TypedDict):
    """blank: nothing is on it, and nobody uses it; found: what is on it or who uses it, in words."""

    path: str
    block: bool
    blank: bool
    found: str
    header: Optional[Header]


def header(path: str) -> Optional[Header]:
    """What an initialised disk says of itself, None for any other."""
    with open(path, "rb") as file:
        first = file.read(SECTOR)
        if len(first) < HEADER.size or not first.startswith(MAGIC):
            return None
        _magic, _version, slots, size, watchdog, _allocate, _loop, msgwait, _minor, identity = HEADER.unpack_from(first)
        return {
            "uuid": str(uuid.UUID(bytes=identity)),
            "watchdog": watchdog,
            "msgwait": msgwait,
            "nodes": [name for slot in range(slots) if (name := _name(file, (1 + 2 * slot) * size))],
        }


def _name(file: BinaryIO, place: int) -> str:
    """The node that has the slot there, empty if none. A slot begins with whether it is in use; after it comes its message."""
    file.seek(place)
    in_use, name = file.read(1), file.read(SECTOR - 1)
    return name.partition(b"\0")[0].decode("ascii", "replace") if in_use == b"\1" else ""


def msgwait_of(watchdog: int) -> int:
    """Seconds after which a node that was sent a message counts as reset: sbd asks for twice the watchdog's."""
    return 2 * watchdog


def command(disks: Sequence[str], watchdog: int) -> list[str]:
    """What initialises them."""
    named = [word for disk in disks for word in ("-d", disk)]
    return ["sbd", *named, "-1", str(watchdog), "-4", str(msgwait_of(watchdog)), "create"]
