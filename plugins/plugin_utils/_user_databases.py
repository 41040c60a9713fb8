# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""User databases: what Dovecot asks an LDAP directory or an SQL server, by what the node is.

Plain data in, plain data out.  A database answers three questions: who may log in and where the mail is (passdb), where
the mailbox is on this node (userdb), and who there is (iteration).

Where the mail is stands in the database as the name of a partition, or as a value that C(dovecot_home_servers) maps to one.
The addresses come from the inventory alone, and are put in here, so that a database knows nothing of addresses.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from typing import NotRequired, TypedDict

from ansible_collections.mailcluster.dovecot.plugins.module_utils._config_databases import PACKAGES
from ansible_collections.mailcluster.dovecot.plugins.plugin_utils._quoting import quoted

SQL = ("pgsql", "mysql", "sqlite")
DRIVERS = ("passwd_file", "ldap", *SQL)
FOLDER = "/etc/dovecot/databases"
SYSTEM_AUTHORITIES = "/etc/ssl/certs/ca-certificates.crt"
# Nobody's host: what is no partition's name leads to an error that names it and the user, and to no server at all. A field
# without a value would make LMTP deliver on the proxy itself.
NOWHERE = "names-no-partition.user.%u.invalid."


class Database(TypedDict, total=False):
    """One of C(dovecot_user_databases), and what C(named) and C(complete) add to it."""

    driver: str
    default_scheme: str
    tls: bool
    tls_verify: bool
    ca: str
    ca_file: str
    home_server: str
    quota: str

    uris: list[str]
    base: str
    bind_dn: str
    bind_password: str
    scope: str
    auth_bind: bool
    user_attribute: str
    password_attribute: str
    filter: str
    iterate_filter: str

    hosts: list[str]
    port: int
    path: str
    database: str
    user: str
    password: str
    table: str
    user_column: str
    password_column: str
    password_query: str | None
    user_query: str
    iterate_query: str
    sasl_password_query: str

    name: str
    file: str
    sasl_file: str
    authority: str


class Master(TypedDict):
    name: str
    password: str


class File(TypedDict):
    """As the module C(config) takes it."""

    content: str
    dest: str
    secret: NotRequired[bool]
    group: NotRequired[str]
    mode: NotRequired[str]


# In the order in which they are written.
Settings = dict[str, str | int]

NETWORK_DEFAULTS: Database = {"tls": True, "tls_verify": True}
LDAP_DEFAULTS: Database = {
    "user_attribute": "mail",
    "password_attribute": "userPassword",
    "filter": "(&(objectClass=inetOrgPerson)({user_attribute}=%u))",
    "iterate_filter": "(objectClass=inetOrgPerson)",
    "scope": "subtree",
}
SQL_DEFAULTS: Database = {"table": "users", "user_column": "username", "password_column": "password"}
DEFAULTS: dict[str, Database] = {
    "ldap": {**NETWORK_DEFAULTS, **LDAP_DEFAULTS},
    "sqlite": SQL_DEFAULTS,
    "pgsql": {**NETWORK_DEFAULTS, **SQL_DEFAULTS},
    "mysql": {**NETWORK_DEFAULTS, **SQL_DEFAULTS},
}


def named(databases: Iterable[Database]) -> list[Database]:
    """I(databases) with a name each, by which its files are called: the driver's, with a number from the second on."""
    seen: dict[str, int] = {}
    found: list[Database] = []
    for database in databases:
        driver = database["driver"]
        seen[driver] = seen.get(driver, 0) + 1
        found.append({**database, "name": driver if seen[driver] == 1 else f"{driver}{seen[driver]}"})
    return found


def complete(databases: Iterable[Database]) -> list[Database]:
    """I(databases) with their names, what was left out of them, and where their files are on the node."""
    return [
        {
            **DEFAULTS.get(database["driver"], {}),
            **database,
            "file": f"{FOLDER}/{database['name']}.conf.ext",
            "sasl_file": f"{FOLDER}/{database['name']}-sasl.conf.ext",
            "authority": _authority(database),
        }
        for database in named(databases)
    ]


def _authority(database: Database) -> str:
    """The certificate authority that a database is trusted by; by default, those that the system trusts."""
    return f"{FOLDER}/{database['name']}.ca.pem" if database.get("ca") else database.get("ca_file") or SYSTEM_AUTHORITIES


def home_servers(given: Mapping[str, str] | None, partitions: Iterable[str]) -> dict[str, str]:
    """Value in the database -> partition: I(given), else each partition by its own name."""
    return dict(given) if given else {name: name for name in partitions}


class Place:
    """What a node is, and so what it has to know of a user.

    I(roles): of the node.  I(partition): whose mail it has, or None.  I(values): value in the database -> partition.
    I(addresses): partition -> address of its backend.  I(master): C(name) and C(password) of the master user that the
    proxies log in with, or None where they forward the user's password.
    """

    def __init__(
        self,
        roles: Collection[str],
        partition: str | None,
        values: Mapping[str, str],
        addresses: Mapping[str, str],
        master: Master | None,
        uid: int = 5000,
        gid: int = 5000,
        home: str = "/var/vmail",
        timeout: int = 10,
    ) -> None:
        self.timeout = timeout
        self.is_director = "director" in roles
        self.is_proxy = "proxy" in roles and "backend" not in roles
        self.is_implicit = "proxy" in roles and "backend" in roles
        self.is_backend = "backend" in roles
        self.values, self.addresses, self.master = values, addresses, master or None
        self.own = [value for value, name in values.items() if name == partition]
        # elsewhere a delivery by mistake finds no place to go to
        self.userdb: Settings = {"uid": uid, "gid": gid, "home": f"{home}/%Ld/%Ln"} if self.is_backend else {}

    @property
    def checks_password(self) -> bool:
        """A backend does; a proxy only where it does not hand the password on to one that does."""
        return self.is_backend or (self.is_proxy and self.master is not None)

    def fields(self) -> Settings:
        """The passdb's fields beside user and password, without where the mail is."""
        fields: Settings = {} if self.checks_password else {"nopassword": "y"}
        if self.is_director or self.is_proxy:
            fields["proxy"] = "y"
        if self.is_implicit:
            fields["proxy_maybe"] = "y"
        if self.is_proxy or self.is_implicit:
            # the port of LMTP by whatever way a message comes, also by a socket that has none; the other services ignore it
            fields.update(protocol="lmtp", proxy_timeout=self.timeout)
        if self.master and (self.is_proxy or self.is_implicit):
            # Dovecot expands variables there, in files as in the answers of databases
            fields.update({"master": self.master["name"], "pass": self.master["password"].replace("%", "%%")})
        return fields

    @property
    def target(self) -> tuple[str | None, Mapping[str, str]]:
        """The field that says where the mail is, and its value by partition; None on a node that has all that it serves."""
        if self.is_director:
            return "director_tag", {name: name for name in self.addresses}
        if self.is_proxy or self.is_implicit:
            return "host", self.addresses
        return None, {}


class Judge(Place):
    """What a director or a proxy is for SMTP AUTH: it knows everybody's password, and nothing of where the mail is."""

    checks_password = True

    def __init__(self) -> None:
        super().__init__([], None, {}, {}, None)


# --- LDAP


def ldap_settings(given: Database, place: Place) -> Settings:
    """The settings of a directory, by name, in the order in which they are written."""
    user, password = given["user_attribute"], given["password_attribute"]
    search = given["filter"].replace("{user_attribute}", user)
    settings: Settings = {
        "uris": " ".join(given["uris"]),
        "ldap_version": 3,
        "base": given["base"],
        "scope": given["scope"],
        "blocking": "no",
    }
    if given.get("bind_dn"):
        settings.update(dn=given["bind_dn"], dnpass=given.get("bind_password", ""))
    settings.update(_ldap_tls(given))
    if given.get("auth_bind") and place.checks_password:
        settings["auth_bind"] = "yes"
    settings["pass_attrs"] = ",".join(
        [f"{user}=user"]
        + ([f"{password}=password"] if place.checks_password and not given.get("auth_bind") else [])
        + [f"={name}={quoted(value, 'ldap_field')}" for name, value in place.fields().items()]
        + _ldap_target(given, place)
        + _ldap_userdb(given, place, "userdb_")
    )
    # who only passes on must know everybody
    settings["pass_filter"] = search if place.target[0] else _ldap_of_this_node(search, given, place)
    settings["user_attrs"] = ",".join([f"{user}=user"] + _ldap_userdb(given, place))
    settings["user_filter"] = _ldap_of_this_node(search, given, place)
    settings["iterate_attrs"] = f"{user}=user"
    settings["iterate_filter"] = _ldap_of_this_node(given["iterate_filter"], given, place)
    settings["default_pass_scheme"] = given.get("default_scheme", "CRYPT")
    return settings


def _ldap_tls(given: Database) -> dict[str, str]:
    if not given["tls"]:
        return {}
    return {"tls_require_cert": "demand" if given["tls_verify"] else "never", "tls_ca_cert_file": given["authority"]}


def _ldap_userdb(given: Database, place: Place, prefix: str = "") -> list[str]:
    quota = [f"{given['quota']}={prefix}quota_rule=*:storage=%$"] if given.get("quota") and place.userdb else []
    return [f"={prefix}{name}={quoted(value, 'ldap_field')}" for name, value in place.userdb.items()] + quota


def _ldap_target(given: Database, place: Place) -> list[str]:
    field, targets = place.target
    if not field:
        return []
    if not given.get("home_server"):
        (target,) = targets.values()
        return [f"={field}={target}"]
    value = f"%{{ldap:{given['home_server']}}}"
    known = "".join(f"%{{if;{value};eq;{name};{_in_condition(targets[partition])}}}" for name, partition in place.values.items())
    names = "|".join(re.escape(name) for name in place.values)
    return [f"={field}={known}%{{if;{value};~;^({names})$;;{value}.{NOWHERE}}}"]


def _in_condition(text: str) -> str:
    """Within a condition a colon would end it."""
    return text.replace(":", "\\:")


def _ldap_of_this_node(search: str, given: Database, place: Place) -> str:
    """A backend knows the users of its own partition only: others would get an empty mailbox there."""
    if not place.is_backend or not given.get("home_server") or set(place.own) == set(place.values):
        return search
    own = "".join(f"({given['home_server']}={quoted(value, 'ldap_filter')})" for value in place.own)
    return f"(&{search}{own if len(place.own) == 1 else f'(|{own})'})"


# --- SQL


def sql_settings(given: Database, place: Place) -> Settings:
    """The settings of an SQL server, by name."""
    return {
        "driver": given["driver"],
        "connect": _connect(given),
        "password_query": given.get("password_query") or _password_query(given, place),
        "user_query": given.get("user_query") or _user_query(given, place),
        "iterate_query": given.get("iterate_query") or _iterate_query(given, place),
        "default_pass_scheme": given.get("default_scheme", "CRYPT"),
    }


def _connect(given: Database) -> str:
    if given["driver"] == "sqlite":
        return given["path"]
    # of several, PostgreSQL's own library tries one after the other; Dovecot's pool on 2.3.19 dies of one that is down
    hosts = [",".join(given["hosts"])] if given["driver"] == "pgsql" else given["hosts"]
    words: list[tuple[str, str | int]] = [("host", host) for host in hosts]
    words += [("port", given["port"])] if given.get("port") else []
    words += [("dbname", given["database"]), ("user", given["user"]), ("password", given["password"])]
    words += _postgresql_words(given) if given["driver"] == "pgsql" else _mysql_words(given)
    kind = "postgresql" if given["driver"] == "pgsql" else "mysql"
    return " ".join(f"{name}={quoted(value, kind)}" for name, value in words)


def _postgresql_words(given: Database) -> list[tuple[str, str | int]]:
    verify = "verify-full" if given["tls_verify"] else "require"
    tls = [("sslmode", verify), ("sslrootcert", given["authority"])] if given["tls"] else [("sslmode", "disable")]
    # as Dovecot connects, only the kernel ends the waiting for a server that does not answer at all: milliseconds
    return [*tls, ("tcp_user_timeout", 5000)]


def _mysql_words(given: Database) -> list[tuple[str, str | int]]:
    return [("option_file", mysql_options_file(given)), ("option_group", "client")] if given["tls"] else []


def mysql_options(given: Database) -> str:
    """TLS of a MySQL client as its option file says it.

    It is read for each connection, while Dovecot 2.3 sets ssl_ca for the first one alone: later ones would be without TLS.
    """
    verify = "\nssl-verify-server-cert" if given["tls_verify"] else ""
    return f"[client]\nssl\nssl-ca={quoted(given['authority'], 'word')}{verify}\n"


def mysql_options_file(given: Database) -> str:
    return f"{FOLDER}/{given['name']}.cnf"


def _literal(text: object) -> str:
    return quoted(text, "sql")


def _concatenated(driver: str, *parts: str) -> str:
    return f"CONCAT({', '.join(parts)})" if driver == "mysql" else " || ".join(parts)


def _user_column(given: Database) -> str:
    """A reserved word to PostgreSQL."""
    return f"{given['user_column']} AS " + ("user" if given["driver"] == "mysql" else '"user"')


def _password_query(given: Database, place: Place) -> str:
    columns = [_user_column(given)]
    # Dovecot demands the column
    columns.append(f"{given['password_column'] if place.checks_password else 'NULL'} AS password")
    columns += [f"{_literal(value)} AS {name}" for name, value in place.fields().items()]
    field, targets = place.target
    if field:
        columns.append(f"{_sql_target(given, place, targets)} AS {field}")
    columns += _userdb_columns(given, place, "userdb_")
    return (
        f"SELECT {', '.join(columns)} FROM {given['table']} "
        f"WHERE {given['user_column']} = '%u'{'' if field else _sql_of_this_node(given, place)}"
    )


def _sql_target(given: Database, place: Place, targets: Mapping[str, str]) -> str:
    if not given.get("home_server"):
        (target,) = targets.values()
        return _literal(target)
    known = " ".join(f"WHEN {_literal(value)} THEN {_literal(targets[name])}" for value, name in place.values.items())
    unknown = _concatenated(given["driver"], f"COALESCE({given['home_server']}, '')", _literal(f".{NOWHERE}"))
    return f"CASE {given['home_server']} {known} ELSE {unknown} END"


def _userdb_columns(given: Database, place: Place, prefix: str = "") -> list[str]:
    columns = [f"{_literal(value)} AS {prefix}{name}" for name, value in place.userdb.items()]
    if given.get("quota") and columns:
        rule = _concatenated(given["driver"], "'*:storage='", given["quota"])
        columns.append(f"CASE WHEN {given['quota']} IS NOT NULL THEN {rule} END AS {prefix}quota_rule")
    return columns


def _user_query(given: Database, place: Place) -> str:
    return (
        f"SELECT {', '.join(_userdb_columns(given, place)) or _user_column(given)} FROM {given['table']} "
        f"WHERE {given['user_column']} = '%u'{_sql_of_this_node(given, place)}"
    )


def _iterate_query(given: Database, place: Place) -> str:
    where = _sql_of_this_node(given, place).replace(" AND ", " WHERE ", 1)
    return f"SELECT {_user_column(given)} FROM {given['table']}{where}"


def _sql_of_this_node(given: Database, place: Place) -> str:
    if not place.is_backend or not given.get("home_server") or set(place.own) == set(place.values):
        return ""
    return f" AND {given['home_server']} IN ({', '.join(_literal(value) for value in place.own)})"


# --- Files


def packages(databases: Collection[Database]) -> list[str]:
    """The Debian packages of I(databases), with the authorities that the system trusts."""
    found = {PACKAGES[database["driver"]] for database in databases if database["driver"] in PACKAGES}
    return sorted(found | {"ca-certificates"}) if found else []


def files(databases: Iterable[Database], place: Place, sasl: bool = False) -> list[File]:
    """The files of all I(databases), which are complete, as the module C(config) takes them: credentials are for root only.

    I(sasl): with those that judge the passwords of SMTP clients.
    """
    found: list[File] = []
    for database in databases:
        if database["driver"] == "passwd_file":
            continue
        found.append(_settings_file(database, place, database["file"]))
        if sasl:
            # a query of somebody's own says where the mail is
            judged: Database = {**database, "password_query": database.get("sasl_password_query")}
            found.append(_settings_file(judged, Judge(), database["sasl_file"]))
        if database["driver"] == "mysql" and database["tls"]:
            found.append({"content": mysql_options(database), "dest": mysql_options_file(database)})
        if database.get("ca"):
            # read by Dovecot's auth process, which is not root
            found.append({"content": database["ca"], "dest": database["authority"], "group": "dovecot", "mode": "0640"})
    return found


def _settings_file(database: Database, place: Place, dest: str) -> File:
    settings = (ldap_settings if database["driver"] == "ldap" else sql_settings)(database, place)
    content = "".join(
        f"{name} = {quoted(value)}\n"
        for name, value in settings.items()
        # Dovecot warns of what no userdb asks
        if not isinstance(place, Judge) or not name.startswith(("user_", "iterate_"))
    )
    return {"content": content, "dest": dest, "secret": True}
