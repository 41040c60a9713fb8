# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The types and the meaning of what is within C(dovecot_user_databases) and C(dovecot_home_servers).

All of it ends up in files of one line a setting, where C(_quoting) writes it.  What is refused here is what cannot be written
there, what a reader behind Dovecot takes otherwise, and what is mostly an error, as a password that begins with a quote.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from ansible.module_utils.parsing.convert_bool import boolean

from ansible_collections.mailcluster.dovecot.plugins.plugin_utils._normal import Wrong, whole
from ansible_collections.mailcluster.dovecot.plugins.plugin_utils._quoting import Unwritable, folded_filter, folded_query
from ansible_collections.mailcluster.dovecot.plugins.plugin_utils._schemes import SCHEMES

BOOLEANS = ("tls", "tls_verify", "auth_bind")
LISTS = ("uris", "hosts")
SECRETS = ("password", "bind_password", "ca")
# Names of columns, tables and attributes, which stand within queries and filters as they are.
COLUMN = re.compile(r"[A-Za-z_][A-Za-z0-9_$]*(\.[A-Za-z_][A-Za-z0-9_$]*){0,2}\Z")
ATTRIBUTE = re.compile(r"([A-Za-z][A-Za-z0-9-]*|\d+(\.\d+)+)\Z", re.ASCII)
PATTERNS = {"table": COLUMN, "user_column": COLUMN, "password_column": COLUMN}
WORD = re.compile(r"[^\s'\"\\#]+\Z")
# an address, a name, or the folder of a socket
SERVER = re.compile(r"([A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*|/[^\s'\"\\#,]+)\Z")


def databases(given: Iterable[Mapping[str, Any]]) -> tuple[list[dict[str, Any]] | None, list[Wrong]]:
    found: list[dict[str, Any]] = []
    wrong: list[Wrong] = []
    for number, database in enumerate(given, 1):
        kept: dict[str, Any] = {}
        problems: list[str] = []
        for key, value in database.items():
            if value is None:
                continue  # a key without a value is as one that is left out
            kept[key], more = _value(str(key), value, database.get("driver"))
            problems += [f"{key}: {words}" for words in more]
        wrong += [(f"item {number}", f"has a wrong {words}") for words in problems]
        found.append(kept)
    if not found:
        wrong = [("", "has no database: write one an item, as {driver: passwd_file}")]
    return found or None, wrong


def _value(key: str, value: Any, driver: Any) -> tuple[Any, list[str]]:
    if key in BOOLEANS:
        try:
            return boolean(value), []
        except TypeError:
            return value, [f"'{value}' is neither true nor false: write one of them"]
    if key in LISTS:
        if not isinstance(value, (list, tuple)):
            return value, []  # said by the checks
        items = [str(item) for item in value if isinstance(item, (str, int)) and item != ""]
        problems = ["an item is empty: remove it"] if len(items) != len(value) or not items else []
        return items, problems + [problem for item in items for problem in _server(key, item)]
    if key == "port":
        port = whole(value)
        if port is None or not 1 <= port <= 65535:
            return value, [f"'{value}' is no port: write a number from 1 to 65535"]
        return port, []
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return value, [] if key == "driver" else ["is no text: write it in quotes"]
    text = str(value)
    try:
        text = folded_query(text) if key.endswith("_query") else folded_filter(text) if key.endswith("filter") else text
    except Unwritable as error:
        return text, [f"'{text.strip()}' {error}: remove it, or write all on one line"]
    return text, [] if key in ("ca", "driver") else list(_text(key, text, driver))


def _server(key: str, item: str) -> Iterator[str]:
    if re.search(r"[\s'\"\\#]", item):
        yield f"'{item}' has blanks, quotes or '#': remove them"
    elif key == "hosts" and not SERVER.match(item):
        remedy = "write the port apart, as port: 5432" if re.search(r":\d+\Z", item) else "write its name or its address"
        yield f"'{item}' is no host: {remedy}"


def _text(key: str, text: str, driver: Any) -> Iterator[str]:
    shape = "(value not shown)" if key in SECRETS else f"'{text}'"
    if re.search(r"[\x00-\x1f\x7f]", text):
        yield f"{shape} has a line break or a control character: write it on one line (YAML's > instead of |)"
    elif "#" in text:
        yield f"{shape} has a '#', which begins a comment in files of databases: choose another"
    elif text != text.strip() or text[:1] in ("'", '"') and key != "filter":
        yield f"{shape} begins or ends with a blank, or begins with a quote, as what was copied with too much: choose another"
    elif "\\" in text and key in SECRETS:
        yield f"{shape} has a backslash, which the database's library takes for a sign of its own: choose another"
    elif key in ("user", "database") and not WORD.match(text):
        yield f"{shape} has blanks, quotes or a backslash, which cannot be passed to the database: use another"
    elif key in PATTERNS and not PATTERNS[key].match(text):
        yield f"{shape} is no name of a table or a column: write it as users or mail.users"
    elif key in ("home_server", "quota", "user_attribute", "password_attribute") and not (
        ATTRIBUTE if driver == "ldap" else COLUMN
    ).match(text):
        yield f"{shape} is no name of {'an attribute' if driver == 'ldap' else 'a column'}: write the name alone"
    elif key in ("filter", "iterate_filter") and text and not _closed(text):
        yield f"{shape} is no filter of LDAP: write it in parentheses that close, as (mail=%u)"
    elif key == "scope" and text not in ("base", "onelevel", "subtree"):
        yield f"{shape} is unknown: write base, onelevel or subtree"
    elif key == "default_scheme" and text.upper().split(".")[0] not in (*SCHEMES, "PLAIN", "CLEAR", "CLEARTEXT"):
        yield f"{shape} is no scheme of Dovecot's: write it as CRYPT or SSHA256 (`doveadm pw -l` lists them)"
    elif key in ("path", "ca_file") and not re.match(r"/[^\s'\"\\]+\Z", text):
        yield f"{shape} is no absolute path without blanks: write it as /var/lib/mail/users.sqlite"


def _closed(text: str) -> bool:
    depth = 0
    for position, sign in enumerate(text):
        depth += {"(": 1, ")": -1}.get(sign, 0)
        if depth < 0 or (depth == 0 and position < len(text) - 1):
            return False
    return depth == 0 and text.startswith("(")


def home_servers(given: Mapping[Any, Any]) -> tuple[dict[str, str], list[Wrong]]:
    found = {str(value): str(partition) for value, partition in given.items()}
    wrong = [
        ("", f"'{value}: {partition}' is to YAML no pair of texts: write both in quotes")
        for value, partition in given.items()
        if any(isinstance(part, bool) or not isinstance(part, (str, int, float)) for part in (value, partition))
    ]
    return found, wrong


NORMALISED: dict[str, Callable[[Any], tuple[Any, list[Wrong]]]] = {
    "dovecot_user_databases": databases,
    "dovecot_home_servers": home_servers,
}
