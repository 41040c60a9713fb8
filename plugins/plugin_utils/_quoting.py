# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Values as they are written into the files of Dovecot and its databases, so that the reader there gets exactly the value.

What a place cannot hold is refused.  A value stays as it is where it needs no quotes, so that files read as one writes them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from ansible_collections.mailcluster.dovecot.plugins.plugin_utils._words import type_of

CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
# Dovecot's own: what another setting or a file has, and a text within quotes.
EXPRESSION = re.compile(r"<|\$|.*[ \t]\$")
QUOTED = re.compile(r"""("([^"\\]|\\.)*"|'([^'\\]|\\.)*')\Z""")


class Unwritable(ValueError):
    """A value that its place cannot hold."""


def quoted(value: object, place: str = "setting") -> str:
    text = _text(value)
    if CONTROL.search(text):
        raise Unwritable("has a line break or a control character")
    return PLACES[place](text)


def refusal(value: object, place: str = "setting") -> str:
    """Why I(place) cannot hold I(value), in words, or an empty text."""
    try:
        quoted(value, place)
    except Unwritable as error:
        return str(error)
    return ""


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not isinstance(value, (str, int, float)):
        raise Unwritable(f"is {'nothing' if value is None else 'a ' + type_of(value)}, where a text is needed")
    return str(value)


def setting(text: str) -> str:
    """After the C(=) of dovecot.conf and of the files of databases, whose readers agree about quotes.

    Without quotes C(#) begins a comment, C($) and C(<) begin what is expanded, and blanks and a backslash at an end go.
    """
    if re.search(r"""[#$]|^[<"' \t]|[\\ \t]$""", text):
        return '"' + re.sub(r'(["\\])', r"\\\1", text) + '"'
    return text


def expression(text: str) -> str:
    """As C(setting), but Dovecot's own language means there what it means to Dovecot."""
    if QUOTED.match(text):
        return text
    if not EXPRESSION.match(text):
        return setting(text)
    if "#" in text or text != text.strip(" \t") or text.endswith("\\"):
        raise Unwritable("has what Dovecot expands ('$' or '<') beside a '#', or a blank or a backslash at an end")
    return text


def field(text: str) -> str:
    """Name, password or one extra field of a passwd-file."""
    return _without(r"[:\s]|^#", text, "a colon, a blank or a '#' at its begin")


def extra(text: str) -> str:
    """One of the extra fields of a passwd-file, after its C(=); Dovecot expands what begins with C(%) there."""
    return _without(r"\s", text, "a blank")


def postgresql(text: str) -> str:
    """A value in the connect string of libpq, which Dovecot takes apart at blanks before."""
    _without(r"\s", text, "a blank")
    return "'" + re.sub(r"(['\\])", r"\\\1", text) + "'" if re.search(r"['\\]", text) or not text else text


def mysql(text: str) -> str:
    """A value in the connect string for MySQL, which Dovecot takes apart at blanks, without quotes."""
    return _without(r"\s", text, "a blank")


def word(text: str) -> str:
    """A value in a file that has quotes and comments of its own."""
    return _without(r"""[\s'"\\#;]|^$""", text, "blanks, quotes, a backslash, '#' or ';'")


def sql(text: str) -> str:
    """A text in a query.  Servers do not agree on what a backslash is there."""
    return "'" + _without(r"\\", text, "a backslash").replace("'", "''") + "'"


def ldap_field(text: str) -> str:
    """A fixed value in a list of attributes."""
    return _without(",", text, "a comma")


def ldap_filter(text: str) -> str:
    """A value to compare with in a filter (RFC 4515)."""
    return re.sub(r"[*()\\]", lambda sign: f"\\{ord(sign.group()):02x}", text)


def _without(pattern: str, text: str, words: str) -> str:
    if re.search(pattern, text):
        raise Unwritable(f"has {words}")
    return text


PLACES: dict[str, Callable[[str], str]] = {
    "setting": setting,
    "expression": expression,
    "field": field,
    "extra": extra,
    "postgresql": postgresql,
    "mysql": mysql,
    "word": word,
    "sql": sql,
    "ldap_field": ldap_field,
    "ldap_filter": ldap_filter,
}


def passwd_entry(name: object, password: object = "", fields: Mapping[str, object] | None = None) -> str:
    """A user's line in a passwd-file, with what stands between password and extra fields left empty."""
    more = " ".join(quoted(f"{key}={value}", "extra") for key, value in sorted((fields or {}).items()))
    return f"{quoted(name, 'field').lower()}:{quoted(password, 'field')}::::::{more}"


# --- Texts of several lines


def folded_query(text: str) -> str:
    """A query of several lines on one, as Dovecot's files need it."""
    lines = [line.strip() for line in text.strip().splitlines()]
    if len(lines) > 1 and "--" in text:
        raise Unwritable("has a comment (--) in one of several lines, which become one")
    if any(line.count("'") % 2 for line in lines[:-1]):
        raise Unwritable("has a line break within quotes")
    return " ".join(line for line in lines if line)


def folded_filter(text: str) -> str:
    """A filter of several lines on one: between its parentheses blanks mean nothing."""
    return re.sub(r"(?<=[(&|!)])\s*\n\s*|\s*\n\s*(?=[()])", "", text.strip())
