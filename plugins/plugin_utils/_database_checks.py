# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be wrong with C(dovecot_user_databases) and C(dovecot_home_servers), as they are declared."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ansible_collections.mailcluster.dovecot.plugins.plugin_utils._pem import has_private_key
from ansible_collections.mailcluster.dovecot.plugins.plugin_utils._topology import Topology
from ansible_collections.mailcluster.dovecot.plugins.plugin_utils._user_databases import DRIVERS, SQL, named
from ansible_collections.mailcluster.dovecot.plugins.plugin_utils._words import type_of

# As somebody has written it.
Written = Mapping[str, Any]

NETWORK = {"tls", "tls_verify", "ca", "ca_file"}
COMMON = {"driver", "default_scheme"}
LDAP = (
    COMMON
    | NETWORK
    | {
        "uris",
        "base",
        "bind_dn",
        "bind_password",
        "scope",
        "auth_bind",
        "user_attribute",
        "password_attribute",
        "home_server",
        "quota",
        "filter",
        "iterate_filter",
    }
)
QUERIES = ("password_query", "user_query", "iterate_query")
SQL_SERVER = (
    COMMON
    | NETWORK
    | {
        "hosts",
        "port",
        "database",
        "user",
        "password",
        "table",
        "user_column",
        "password_column",
        "home_server",
        "quota",
        *QUERIES,
        "sasl_password_query",
    }
)
KEYS: dict[str, set[str]] = {
    "passwd_file": {"driver"},
    "ldap": LDAP,
    "pgsql": SQL_SERVER,
    "mysql": SQL_SERVER,
    "sqlite": (SQL_SERVER - NETWORK - {"hosts", "port", "database", "user", "password"}) | {"path"},
}
NEEDED: dict[str, tuple[str, ...]] = {
    "passwd_file": (),
    "ldap": ("uris", "base"),
    "pgsql": ("hosts", "database", "user", "password"),
    "mysql": ("hosts", "database", "user", "password"),
    "sqlite": ("path",),
}
SAMPLES = {
    "uris": "[ldaps://ldap.example.org]",
    "base": "ou=people,dc=example,dc=org",
    "hosts": "[db.example.org]",
    "database": "mail",
    "user": "dovecot",
    "password": "the secret of user",
    "path": "/var/lib/mail/users.sqlite",
}
LISTS = ("uris", "hosts")
SECRETS = ("password", "bind_password")
# %u, %n and their modified forms, as %Lu; and %{user}, %{username}
# it stands within filters, queries and conditions
VALUE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*\Z")
USER_VARIABLE = re.compile(r"%(-?\d*\.?-?\d*)?[LUERXHMNT]*[un]|%\{(user|username)\}")


def problems(databases: Any, home_servers: Any, topology: Topology, sasl: bool = False) -> Iterator[str]:
    """Sentences about what is wrong.  I(sasl): whether mail servers ask there for SMTP AUTH."""
    if not isinstance(databases, list) or not databases:
        yield "dovecot_user_databases: is no list of databases: write one an item, as {driver: passwd_file}"
        return
    for number, database in enumerate(databases, 1):
        if not hasattr(database, "get") or not database.get("driver"):
            yield f"dovecot_user_databases: item {number} has no driver: set driver to one of {', '.join(DRIVERS)}"
            return
        if database["driver"] not in DRIVERS:
            yield (
                f"dovecot_user_databases: item {number} has the driver '{database['driver']}', which is unknown: set it to "
                f"one of {', '.join(DRIVERS)}"
            )
            return
    if sum(database["driver"] == "passwd_file" for database in databases) > 1:
        yield "dovecot_user_databases: passwd_file is listed twice, and both would mean dovecot_users: remove one"
    for database in named(databases):
        for sentence in (
            *_keys(database),
            *_credentials(database),
            *_searches(database),
            *_home(database, topology),
            *(_sasl(database, topology) if sasl else ()),
        ):
            yield f"dovecot_user_databases: {database['name']}: {sentence}"
    yield from _mapping(databases, home_servers, topology)


def _keys(database: Written) -> Iterator[str]:
    driver = database["driver"]
    for key in sorted(set(map(str, database)) - KEYS[driver] - {"name"}):
        yield f"'{key}' is unknown there: use {', '.join(sorted(KEYS[driver]))}"
    for key in NEEDED[driver]:
        if key not in SECRETS and not database.get(key):
            yield f"{key} is missing: set it, as {SAMPLES[key]}"
    for key in LISTS:
        if database.get(key) and not isinstance(database[key], list):
            yield f"{key}: '{database[key]}' is no list: write [{database[key]}]; with several the first that answers is asked"
    if database.get("ca") and "-----BEGIN " not in str(database["ca"]):
        yield "ca: (value not shown) is no PEM text: it must contain '-----BEGIN'; for a path on the nodes use ca_file"
    elif has_private_key(database.get("ca")):
        yield "ca: (value not shown) has a private key in it: give the authority's certificate only, and keep its key elsewhere"
    uris = list(map(str, database["uris"])) if isinstance(database.get("uris"), list) else []
    plain = [uri for uri in uris if uri.startswith("ldap://")]
    if plain and database.get("tls", True):
        yield (
            f"uris: '{plain[0]}' would have to be asked by STARTTLS, with which Dovecot 2.3 leaves clients without any answer "
            f"while the directory is down: use ldaps://, or set tls: false on a network that you trust"
        )
    for other in uris:
        if not other.startswith(("ldap://", "ldaps://", "ldapi://")):
            yield f"uris: '{other}' is no LDAP address: begin it with ldap:// or ldaps://"


def _credentials(database: Written) -> Iterator[str]:
    if database.get("bind_dn") and not database.get("bind_password"):
        yield f"bind_password is missing, but there is bind_dn '{database['bind_dn']}': set it"
    if database["driver"] in ("pgsql", "mysql") and not database.get("password"):
        yield "password is missing, and Dovecot needs it to log in at the database: set it"
    for key in ("user", "password"):
        if re.search(r"[\s'\"]", str(database.get(key) or "")):
            yield f"{key}: (value not shown) contains spaces or quotes, which Dovecot cannot pass to the database: use another"


def _searches(database: Written) -> Iterator[str]:
    for key in ("filter", "password_query", "user_query", "sasl_password_query"):
        if key in database and not USER_VARIABLE.search(str(database[key])):
            yield f"{key}: '{database[key]}' does not contain the user: put %u where the user's name is compared"
    for key in ("iterate_filter", "iterate_query"):
        if key in database and not database[key]:
            yield (
                f"{key}: is empty, so nobody could list the users, which replication, directors and verify need: remove it, "
                f"or give one that finds all users"
            )


def _home(database: Written, topology: Topology) -> Iterator[str]:
    if database["driver"] == "passwd_file":
        return
    partitions = topology["partitions"]
    router = "directors" if topology["directors"] else "proxies" if topology["proxies"] else ""
    own = [key for key in QUERIES if database.get(key)]
    if own and len(own) < len(QUERIES):
        yield (
            f"{', '.join(own)}: given without {', '.join(key for key in QUERIES if key not in own)}: give all three, since "
            f"the others would ask the default table"
        )
    if database.get("password_query"):
        fields = ["director_tag"] if topology["directors"] else ["host", "proxy"]
        for field in fields if router else ():
            if not re.search(rf"\b{field}\b", str(database["password_query"])):
                yield (
                    f"password_query: returns no {field}, but the {router} need it: add it, or use home_server instead of a "
                    f"query of your own"
                )
    elif not database.get("home_server") and len(partitions) > 1:
        kind = "column" if database["driver"] in SQL else "attribute"
        yield (
            f"home_server is missing, but there are the partitions {', '.join(sorted(partitions))}: name the {kind} that says "
            f"whose mail is where"
        )


def _sasl(database: Written, topology: Topology) -> Iterator[str]:
    """SMTP AUTH on nodes whose own password_query leaves the password to the backend."""
    if not (topology["directors"] or topology["proxies"]):
        return
    query = database.get("sasl_password_query")
    if database.get("password_query") and not query:
        yield (
            "sasl_password_query: missing beside a password_query of your own, which does not judge the password that a mail "
            "server asks about: give one that returns user and password alone, or set dovecot_sasl_port: 0"
        )
    elif query and re.search(r"\bnopassword\b", str(query), re.IGNORECASE):
        yield (
            "sasl_password_query: returns nopassword, so that any password would be right, and the mail server an open relay: "
            "return user and password alone"
        )


def _mapping(databases: Iterable[Written], home_servers: Any, topology: Topology) -> Iterator[str]:
    if not home_servers:
        return
    if not hasattr(home_servers, "items"):
        yield f"dovecot_home_servers: is a {type_of(home_servers)}, no mapping: write VALUE: PARTITION for each value"
        return
    partitions = topology["partitions"]
    for value, partition in home_servers.items():
        if not VALUE.match(str(value)):
            yield f"dovecot_home_servers: '{value}' has other characters than letters, digits, '_', '-' and '.': rename it"
        if str(partition) not in partitions:
            yield (
                f"dovecot_home_servers: '{value}' means the partition '{partition}', which no backend has: set it to one of "
                f"{', '.join(sorted(partitions))}"
            )
    unnamed = sorted(set(partitions) - {str(partition) for partition in home_servers.values()})
    if unnamed and any(database.get("home_server") for database in databases):
        yield (
            f"dovecot_home_servers: no value maps to {', '.join(unnamed)}, so nobody could have a home there: add one, or leave "
            f"dovecot_home_servers out if the database has the partitions' names"
        )
