# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""In which database the home of a moved user is changed, to what, and what stands in the way: plain data in, plain data out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

PACKAGES = {"ldap": "ldap-utils", "pgsql": "postgresql-client", "mysql": "default-mysql-client", "sqlite": "sqlite3"}


def move_database(
    databases: Sequence[Mapping[str, Any]],
    user: str,
    to: str,
    users: Sequence[Mapping[str, Any]] = (),
    home_servers: Mapping[str, Any] | None = None,
    named: str | None = None,
    login: str | None = None,
) -> dict[str, Any]:
    """C(database), C(value) that it is to say, C(package) of its client, and C(obstacles) as sentences with their remedies.

    I(databases): those of the user_databases filter.  I(users): those of C(dovecot_users).  I(named): the database's name, where
    somebody has given it.
    """
    name = named or _by_itself(databases, user, users)
    database = next((one for one in databases if one["name"] == name), None)
    homes = [key for key, partition in (home_servers or {}).items() if str(partition) == str(to)]
    return {
        "database": database,
        "value": homes[0] if homes else str(to),
        "package": PACKAGES.get(database["driver"], "") if database else "",
        "obstacles": list(_obstacles(database, name, databases, user, login)),
    }


def _by_itself(databases: Sequence[Mapping[str, Any]], user: str, users: Sequence[Mapping[str, Any]]) -> str:
    """dovecot_users for whom they have, else the first that is none."""
    others = [one["name"] for one in databases if one["name"] != "passwd_file"]
    listed = any(str(entry["name"]).lower() == user.lower() for entry in users)
    return "passwd_file" if listed or not others else others[0]


def _obstacles(
    database: Mapping[str, Any] | None, name: str, databases: Sequence[Mapping[str, Any]], user: str, login: str | None
) -> Iterator[str]:
    if database is None:
        yield (
            f"dovecot_move_database: there is no database {name}, nothing was changed: give the one of "
            f"{', '.join(one['name'] for one in databases)} that {user} is in"
        )
    elif database["driver"] != "passwd_file" and not database.get("home_server"):
        yield (
            f"dovecot_user_databases: {name} has no home_server, so it is not known what to change, nothing was changed: set it "
            f"beside your own queries"
        )
    if database is not None and database["driver"] == "ldap" and not (login or database.get("bind_dn")):
        yield (
            "dovecot_move_login: missing, and the directory is read without a login, nothing was changed: set it, with "
            "dovecot_move_password"
        )
