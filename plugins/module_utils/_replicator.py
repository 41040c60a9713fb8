# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The replicator: what its answers mean.  Pure: data in, data out."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, NamedTuple, TypedDict

from ansible_collections.mailcluster.dovecot.plugins.module_utils._doveadm import not_understood
from ansible_collections.mailcluster.dovecot.plugins.module_utils._types import Result, Row

PRIORITIES = ("none", "low", "high", "sync")
AGE = re.compile(r"(-?\d+):(-?\d+):(-?\d+)\Z")
SUMMARY = {
    "Queued 'sync' requests": "queued_sync",
    "Queued 'high' requests": "queued_high",
    "Queued 'low' requests": "queued_low",
    "Queued 'failed' requests": "queued_failed",
    "Queued 'full resync' requests": "queued_full_resync",
    "Waiting 'failed' requests": "waiting_failed",
    "Total number of known users": "known_users",
}


class User(NamedTuple):
    """Ages are seconds since the last fast and full pass began and since one last succeeded; None is never.

    A tuple, because there may be 100,000.
    """

    priority: str
    fast: int | None
    full: int | None
    success: int | None
    failed: bool


class PrintedUser(NamedTuple):
    """A User whose ages are not read yet."""

    priority: str
    fast: str
    full: str
    success: str
    failed: bool


class Connection(TypedDict):
    user: str
    type: str
    status: str


def user_row(pairs: Iterable[tuple[str, Any]]) -> tuple[str, PrintedUser]:
    """C((name, PrintedUser)) of a row of C(replicator status MASK)."""
    row = dict(pairs)
    printed = PrintedUser(row["priority"], row["fast sync"], row["full sync"], row["success sync"], row["failed"] == "y")
    return row["username"], printed


def parse_users(rows: list[tuple[str, PrintedUser]]) -> dict[str, User]:
    """Name to User, of what C(user_row) made of the rows."""
    ages: dict[str, int | None] = {"-": None}
    try:
        return {
            name: User(user.priority, _age(user.fast, ages), _age(user.full, ages), _age(user.success, ages), user.failed)
            for name, user in rows
        }
    except (ValueError, TypeError, AttributeError):
        raise not_understood("doveadm replicator status", [list(row) if isinstance(row, tuple) else row for row in rows[:20]])


def _age(text: str, known: dict[str, int | None]) -> int | None:
    """Seconds of C(HH:MM:SS); most users share a few ages.

    A user who was synchronised while doveadm asked is printed as C(00:00:-1).
    """
    if text not in known:
        match = AGE.match(text)
        if not match:
            raise ValueError(text)
        hours, minutes, seconds = match.groups()
        known[text] = max(0, int(hours) * 3600 + int(minutes) * 60 + int(seconds))
    return known[text]


def as_dict(user: User) -> Result:
    """A user's state as modules return it."""
    return {
        "priority": user.priority,
        "fast_sync_age": user.fast,
        "full_sync_age": user.full,
        "success_age": user.success,
        "failed": user.failed,
    }


def parse_summary(rows: Iterable[Row]) -> dict[str, int]:
    """Our names to numbers, of the rows of C(replicator status)."""
    try:
        found = {SUMMARY[row["field"]]: int(row["value"]) for row in rows if row["field"] in SUMMARY}
    except (KeyError, ValueError, TypeError):
        raise not_understood("doveadm replicator status", rows)
    if set(found) != set(SUMMARY.values()):
        raise not_understood("doveadm replicator status", rows)
    return found


def parse_connections(rows: Iterable[Row]) -> list[Connection]:
    """The dsync connections that are at work: C(user), C(type) and C(status)."""
    try:
        return [{"user": row["username"], "type": row["type"], "status": row["status"]} for row in rows if row["username"]]
    except (KeyError, TypeError):
        raise not_understood("doveadm replicator dsync-status", rows)


def is_asked(user: User, max_age: int, full: bool, priority: str) -> bool:
    """Whether I(user) needs nothing: a pass is queued, at work, or began within I(max_age) seconds and has not failed."""
    if full:
        # one who never had a full pass is about to get it
        return not user.failed and (user.full is None or user.full <= max_age)
    if user.priority != "none":
        return PRIORITIES.index(user.priority) >= PRIORITIES.index(priority)
    return not user.failed and (user.fast is None or user.fast <= max_age)


def is_done(user: User, since: float) -> bool:
    """Whether a pass that was asked for I(since) seconds ago has begun and nothing waits; it may still be at work."""
    return user.priority == "none" and user.fast is not None and user.fast <= since + 1
