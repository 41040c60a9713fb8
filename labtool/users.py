"""Users and their passwords, which Ansible's password lookup keeps beside the inventory."""

from __future__ import annotations

from pathlib import Path

from labtool.inventory import Cluster, User
from labtool.system import LabError


def password_of(cluster: Cluster, user: User) -> str:
    file = _file(cluster, user)
    try:
        return plaintext(file.read_text())
    except OSError:
        raise LabError(
            f"The password of {user.name} is unknown: there is no file {file}. Ansible creates it during './lab up'."
        ) from None


def plaintext(content: str) -> str:
    """Without what the lookup appends for the hash: ``PLAINTEXT salt=XXXX ident=...``."""
    line = content.rstrip("\n")
    return line.partition(" salt=")[0].partition(" ident=")[0]


def _file(cluster: Cluster, user: User) -> Path:
    return cluster.inventory.parent / ".secrets" / "users" / user.name


def one_of_each_partition(cluster: Cluster) -> list[User]:
    found: dict[str | None, User] = {}
    for user in cluster.users:
        found.setdefault(user.partition, user)
    return list(found.values())
