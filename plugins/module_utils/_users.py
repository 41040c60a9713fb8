# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Asks the node's user and password databases through doveadm."""

from __future__ import annotations

from ansible_collections.mailcluster.dovecot.plugins.module_utils._doveadm import (
    Doveadm,
    DoveadmError,
    UserUnknown,
    refuse_failure,
)
from ansible_collections.mailcluster.dovecot.plugins.module_utils._values import is_mask

NO_USER = 67  # exit status


def matching(doveadm: Doveadm, masks: list[str]) -> list[str]:
    """The names of all users who match one of I(masks), in the database's order; UserUnknown for a name that nobody has.

    Asked for nothing but names, doveadm would print their fields instead of a list.
    """
    names = [mask for mask in masks if not is_mask(mask)]
    found = [userdb_field(doveadm, name, "user") or name for name in names]
    wild = [mask for mask in masks if is_mask(mask)]
    if wild:
        found.extend(name for name in doveadm.run("user", "--", *wild).split("\n") if name)
    return list(dict.fromkeys(found))


def userdb_field(doveadm: Doveadm, user: str, field: str) -> str | None:
    """The text of I(field) of I(user), None without such a field; C(user) is the name as the database has it.

    Raises UserUnknown.
    """
    return _field(doveadm, ["user"], user, field)


def is_replicated(doveadm: Doveadm, user: str) -> bool:
    """Whether the replicator keeps I(user); one with C(noreplicate) it drops at the first attempt."""
    return userdb_field(doveadm, user, "noreplicate") is None


def replicated(doveadm: Doveadm, names: list[str]) -> tuple[list[str], dict[str, str]]:
    """Those of I(names) whom the replicator keeps, and name to error of those whom the database lists and cannot look up."""
    kept: list[str] = []
    broken: dict[str, str] = {}
    unknown: dict[str, str] = {}
    for name in names:
        try:
            if is_replicated(doveadm, name):
                kept.append(name)
        except UserUnknown as error:
            unknown[name] = str(error)
        except DoveadmError as error:
            broken[name] = str(error)
    if unknown:
        # who was removed meanwhile is no failure
        listed = matching(doveadm, ["*"])
        broken.update({name: error for name, error in unknown.items() if name in listed})
    return kept, broken


def passdb_field(doveadm: Doveadm, user: str, field: str) -> str | None:
    """As C(userdb_field), from the password database, which for a director says where users live.

    On a director doveadm is set up to ask through the director, and that would assign the user to a backend.
    """
    return _field(doveadm, ["-o", "auth_socket_path=auth-userdb", "auth", "lookup"], user, field)


def _field(doveadm: Doveadm, command: list[str], user: str, field: str) -> str | None:
    argv, rc, stdout, stderr = doveadm.attempt(*(command + ["-f", field, "--", user]))
    if rc == NO_USER:
        raise UserUnknown(
            "there is no user '%s' in the database of this node: compare with doveadm user '*'" % user, argv, rc, stdout, stderr
        )
    refuse_failure(argv, rc, stdout, stderr)
    return stdout.strip() or None
