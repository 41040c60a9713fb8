# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes a user's home server into a user database, by the database's own client program.

A rehearsal of it is rolled back; a directory, which cannot roll back, gets the value that it has.
"""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

from ansible_collections.mailcluster.dovecot.plugins.module_utils._errors import Failure

# What each client says of a change of exactly one user.
ONE_USER = re.compile(r"^UPDATE 1$|Rows matched: 1\b", re.MULTILINE)
SECONDS = "5"


class Change(NamedTuple):
    database: Mapping[str, Any]  # as the filter user_databases completes it
    user: str
    value: str
    login: str
    password: str
    rehearsal: bool


class Client(Protocol):
    """Runs a program with more variables in its environment, and gives its exit status and both outputs."""

    def __call__(self, argv: list[str], environment: Mapping[str, str], stdin: str | None = None) -> tuple[int, str, str]: ...


class NotChanged(Failure):
    """The database did not take it; the message is what it said."""


def write(change: Change, run: Client, secret_file: Callable[[str], str]) -> None:
    """I(secret_file): makes a file with this content that others cannot read, and gives its path."""
    driver = change.database["driver"]
    if driver == "ldap":
        _write_ldap(change, run, secret_file(change.password))
        return
    said = ""
    for argv, environment in {"pgsql": _pgsql, "mysql": _mysql, "sqlite": _sqlite}[driver](change):
        status, stdout, stderr = run(argv, environment)
        if status == 0 and ONE_USER.search(stdout):
            return
        said = stderr.strip() or stdout.strip() or "exit status %d" % status
        if status == 0:
            break
    raise NotChanged(said)


# --- SQL


def statement(change: Change) -> str:
    database, driver = change.database, change.database["driver"]
    update = "UPDATE %s SET %s = %s WHERE %s = %s" % (
        database["table"],
        database["home_server"],
        literal(change.value, driver),
        database["user_column"],
        literal(change.user, driver),
    )
    # sqlite3 does not count by itself, and counts within the transaction alone
    parts = [update] + (["SELECT 'UPDATE ' || changes()"] if driver == "sqlite" else [])
    return "; ".join(["BEGIN", *parts, "ROLLBACK"] if change.rehearsal else parts)


def literal(text: str, driver: str) -> str:
    quoted = text.replace("'", "''")
    return "'%s'" % (quoted.replace("\\", "\\\\") if driver == "mysql" else quoted)


def _pgsql(change: Change) -> list[tuple[list[str], dict[str, str]]]:
    database = change.database
    verify = "verify-full" if database["tls_verify"] else "require"
    environment = {
        "PGPASSWORD": change.password,
        "PGPORT": str(database.get("port") or ""),
        "PGCONNECT_TIMEOUT": SECONDS,
        "PGTARGETSESSIONATTRS": "read-write",
        "PGSSLMODE": verify if database["tls"] else "disable",
        "PGSSLROOTCERT": database["authority"],
    }
    where = ["-h", ",".join(database["hosts"]), "-U", change.login, "-d", database["database"]]
    return [(["psql", "-wv", "ON_ERROR_STOP=1", *where, "-c", statement(change)], environment)]


def _mysql(change: Change) -> list[tuple[list[str], dict[str, str]]]:
    """One for each server: the first that takes it counts."""
    database = change.database
    verify = ["--ssl-verify-server-cert"] if database["tls_verify"] else []
    tls = ["--ssl-ca=" + database["authority"], *verify] if database["tls"] else ["--skip-ssl"]
    how = ["-vv", "--connect-timeout=" + SECONDS, "-u", change.login, "-P", str(database.get("port") or 3306), *tls]
    words = [*how, "-e", statement(change), database["database"]]
    return [(["mysql", "-h", host, *words], {"MYSQL_PWD": change.password}) for host in database["hosts"]]


def _sqlite(change: Change) -> list[tuple[list[str], dict[str, str]]]:
    return [(["sqlite3", change.database["path"], statement(change)], {})]


# --- LDAP


def _write_ldap(change: Change, run: Client, password_file: str) -> None:
    database, attribute = change.database, change.database["home_server"]
    environment = {"LDAPTLS_REQCERT": "demand" if database["tls_verify"] else "never", "LDAPTLS_CACERT": database["authority"]}
    how = ["-x", "-o", "nettimeout=" + SECONDS, "-H", " ".join(database["uris"]), "-D", change.login, "-y", password_file]

    def ask(program: str, *words: str, stdin: str | None = None) -> str:
        status, stdout, stderr = run([program, *how, *words], environment, stdin)
        if status != 0:
            raise NotChanged(stderr.strip() or "exit status %d" % status)
        return stdout

    search = "(%s=%s)" % (database["user_attribute"], in_filter(change.user))
    names = values("dn", ask("ldapsearch", "-LLL", "-o", "ldif-wrap=no", "-b", database["base"], search, "1.1"))
    if len(names) != 1:
        raise NotChanged("no single entry for %s" % search)
    value = change.value
    if change.rehearsal:
        entry = ask("ldapsearch", "-LLL", "-o", "ldif-wrap=no", "-b", names[0], "-s", "base", "(objectClass=*)", attribute)
        value = next(iter(values(attribute, entry)), "")
        if not value:
            raise NotChanged("%s has no %s" % (names[0], attribute))
    lines = [line("dn", names[0]), "changetype: modify", "replace: " + attribute, line(attribute, value)]
    ask("ldapmodify", stdin="\n".join(lines) + "\n")


def in_filter(text: str) -> str:
    """As RFC 4515 wants a value within a filter."""
    return "".join("\\%02x" % ord(sign) if sign in "\\*()\0" else sign for sign in text)


def line(attribute: str, value: str) -> str:
    """A line of LDIF; base64 does for every value."""
    return "%s:: %s" % (attribute, base64.b64encode(value.encode()).decode())


def values(attribute: str, ldif: str) -> list[str]:
    """All values of an attribute in what ldapsearch prints without wrapping."""
    found = re.findall(r"(?im)^%s:(:?) (.*)$" % re.escape(attribute), ldif)
    return [base64.b64decode(text).decode() if coded else text for coded, text in found]


def secret_file_in(folder: str) -> Callable[[str], str]:
    """Makes such files in a folder that is removed with the module."""

    def make(text: str) -> str:
        path = os.path.join(folder, "secret")
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
        return path

    return make
