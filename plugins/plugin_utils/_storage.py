# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What shared storage needs, by its type, by whether directors send each user to one backend, and by the mailbox format.

Plain data in, plain data out.  docs/shared_storage.md has the same as tables, with the source of each line.
"""

from __future__ import annotations

from typing import NotRequired, TypedDict

TYPES = ("nfs", "ocfs2", "gfs2", "glusterfs", "cephfs")
# One kernel does not see what another has cached, as each caches attributes and directory entries for a while.
CACHING = ("nfs", "glusterfs")
FORMATS = ("maildir", "sdbox")
FILESYSTEMS = {"nfs": "nfs4", "ocfs2": "ocfs2", "gfs2": "gfs2", "glusterfs": "fuse.glusterfs", "cephfs": "ceph"}
MOUNT_TYPES = {"nfs": "nfs4", "ocfs2": "ocfs2", "gfs2": "gfs2", "glusterfs": "glusterfs", "cephfs": "ceph"}
# The systemd unit that has to run before the file system can be mounted.
STACKS = {"ocfs2": "o2cb.service", "gfs2": "dlm.service"}


class Mount(TypedDict):
    """What is declared of storage, as far as its mount and Dovecot's settings follow from it."""

    type: str
    path: str
    mail_location: str
    mount_options: NotRequired[list[str]]
    lock_method: NotRequired[str]
    index_dir: NotRequired[str]
    volatile_dir: NotRequired[str]


class Storage(Mount):
    """All that is declared of it."""

    source: str
    mail_user: str
    uid: int
    gid: int
    max_clock_difference: float


def mount_options(kind: str, has_directors: bool) -> list[str]:
    """Options of the mount, in the order in which they are written."""
    options = {
        "nfs": ["nfsvers=4.2", "hard", "noatime", "nordirplus"],
        "ocfs2": ["noatime"],
        "gfs2": ["noatime", "nodiratime"],
        "glusterfs": ["noatime"],
        "cephfs": ["noatime"],
    }[kind]
    if kind == "nfs":
        # with directors nobody else changes a user's files, else each look must be a new one
        options += ["actimeo=60"] if has_directors else ["actimeo=0", "lookupcache=none"]
    return [*options, "_netdev"]


def lock_method(kind: str) -> str:
    """OCFS2 with its own cluster stack has flock across the nodes, but no fcntl locks."""
    return "flock" if kind == "ocfs2" else "fcntl"


def settings(kind: str, has_directors: bool, method: str | None = None) -> dict[str, str]:
    """Dovecot's settings that differ from its defaults."""
    found = {"mmap_disable": "yes"}
    if kind in CACHING:
        found["mail_fsync"] = "always"
    if kind == "glusterfs" or (kind == "nfs" and not has_directors):
        found.update(mail_nfs_storage="yes", mail_nfs_index="yes")
    if kind == "nfs" and not has_directors:
        # more messages than a mailbox can have: the cache file is read without a lock, and another node's is half written
        found["mail_cache_min_mail_count"] = "4294967295"
    method = method or lock_method(kind)
    if method != "fcntl":
        found["lock_method"] = method
    return found


def mail_location(location: str, index_dir: str = "", volatile_dir: str = "") -> str:
    """I(location) with what is to be on the node's own disk; each user has a folder there."""
    parts = [location]
    parts += [f"INDEX={index_dir}/%Ld/%Ln"] if index_dir else []
    parts += [f"VOLATILEDIR={volatile_dir}/%Ld/%Ln"] if volatile_dir else []
    return ":".join(parts)


def mail_format(location: str | None) -> str:
    """C(maildir) of C(maildir:~/Maildir)."""
    return str(location or "").split(":", 1)[0].lower()
