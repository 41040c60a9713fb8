# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is mounted, and whether with the options that were wanted: text in, plain data out."""

from __future__ import annotations

import re
from typing import TypedDict

# The kernel shows these only where they differ from its own defaults.
NFS_DEFAULTS = {"acregmin": "3", "acregmax": "60", "acdirmin": "30", "acdirmax": "60", "lookupcache": "all"}
NFS_NAMES = {"nfsvers": "vers"}
NFS_VALUES = {("lookupcache", "positive"): "pos"}
# Read by mount and systemd, or by a file system's own program: the kernel does not know them.
NOT_SHOWN = re.compile(r"(_netdev|nofail|retry=.*|bg|fg|auto|noauto|x-.*|comment=.*)\Z")
FLAGS = ("ro", "rw", "noatime", "nodiratime", "relatime", "strictatime", "nodev", "nosuid", "noexec", "sync", "dirsync")


class Mount(TypedDict):
    """A file system that is mounted: what, the kernel's name of it, and the options in force."""

    source: str
    filesystem: str
    options: list[str]


def mounted_at(mountinfo: str, path: str) -> Mount | None:
    """The last file system that is mounted at I(path), as C(source), C(filesystem) and C(options); None when none is.

    I(mountinfo): the text of /proc/self/mountinfo.  Reading it asks no file server, so it answers when that does not.
    """
    return mounts(mountinfo).get(path)


def mount_point_of(mountinfo: str, path: str) -> tuple[str, str]:
    """Where the file system is mounted that has I(path), and the kernel's name of it."""
    inside, found = path.rstrip("/") + "/", mounts(mountinfo)
    point = max((point for point in found if inside.startswith(point.rstrip("/") + "/")), key=len)
    return point, found[point]["filesystem"]


def mounts(mountinfo: str) -> dict[str, Mount]:
    """Mount point to what is mounted there; of several the last, which hides the others."""
    found: dict[str, Mount] = {}
    for line in mountinfo.splitlines():
        left, _separator, right = line.partition(" - ")
        place, filesystem = left.split(" "), right.split(" ")  # a source may be empty
        found[unescaped(place[4])] = {
            "source": unescaped(filesystem[1]),
            "filesystem": filesystem[0],
            "options": place[5].split(",") + filesystem[2].split(","),
        }
    return found


def unescaped(text: str) -> str:
    """The kernel writes a blank as C(\\040)."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match.group(1), 8)), text)


def not_in_force(wanted: list[str], mount: Mount) -> list[str]:
    """Those of the I(wanted) options that I(mount) does not have."""
    in_force = dict(option.partition("=")[::2] for option in mount["options"])
    nfs = mount["filesystem"] in ("nfs", "nfs4")
    if nfs:
        in_force = {**NFS_DEFAULTS, **in_force}
    return [option for option in wanted if not _holds(option, in_force, nfs)]


def _holds(option: str, in_force: dict[str, str], nfs: bool) -> bool:
    name, equals, value = option.partition("=")
    if NOT_SHOWN.match(option) or (not nfs and name not in FLAGS):
        return True
    if name == "actimeo":
        return all(in_force[each] == value for each in ("acregmin", "acregmax", "acdirmin", "acdirmax"))
    name = NFS_NAMES.get(name, name)
    return in_force.get(name) == (NFS_VALUES.get((name, value), value) if equals else "")
