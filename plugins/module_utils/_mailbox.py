# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The mailboxes of a node: what doveadm tells of them, in a form that can be compared.  Pure: data in, data out."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from ansible_collections.mailcluster.dovecot.plugins.module_utils._doveadm import not_understood
from ansible_collections.mailcluster.dovecot.plugins.module_utils._types import Row

UNREFERENCED = re.compile(r"^ - ext \d+ ref +: +0 \(", re.MULTILINE)
RECORDS = re.compile(r"^-- RECORDS: (\d+)$", re.MULTILINE)


def format_of(location: str | None) -> str:
    """C(mdbox) of C(mdbox:~/mdbox)."""
    return (location or "").partition(":")[0].lower()


def map_of(path: str) -> str:
    """The index of an mdbox's storage, from the index path of one of its mailboxes."""
    return path.rpartition("/mailboxes/")[0] + "/storage/dovecot.map.index"


def parse_unreferenced(dump: str) -> int:
    """How many messages no mailbox has any more, of C(doveadm dump) of an mdbox's map."""
    if not RECORDS.search(dump):
        raise not_understood("doveadm dump", dump)
    return len(UNREFERENCED.findall(dump))


def parse_path(rows: Iterable[Row]) -> str:
    """The path in the one row of C(mailbox path)."""
    try:
        (row,) = rows
        return row["path"]
    except (KeyError, ValueError, TypeError):
        raise not_understood("doveadm mailbox path", rows)


def parse_quota(rows: Iterable[Row]) -> dict[str, Any]:
    """Root and type to the value in use, of C(quota get)."""
    try:
        return {"%s %s" % (row["root"], row["type"]): row["value"] for row in rows}
    except (KeyError, TypeError):
        raise not_understood("doveadm quota get", rows)


def parse_status(rows: Iterable[Row]) -> dict[str, Row]:
    """Mailbox to its counts, of C(mailbox status)."""
    try:
        return {row["mailbox"]: {key: value for key, value in row.items() if key != "mailbox"} for row in rows}
    except (KeyError, TypeError, AttributeError):
        raise not_understood("doveadm mailbox status", rows)
