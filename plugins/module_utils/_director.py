# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The director: what its answers mean, and what to tell it.  Pure: data in, data out."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Collection, Container, Iterable, Iterator, Mapping
from typing import Any, TypedDict

from ansible_collections.mailcluster.dovecot.plugins.module_utils._doveadm import NotAllowed, not_understood
from ansible_collections.mailcluster.dovecot.plugins.module_utils._types import Row


class Setting(TypedDict):
    """A backend as it is to be."""

    tag: str
    weight: int
    state: str


class Declared(Setting):
    """A backend in the form that director_backends takes."""

    host: str


class Backend(Setting):
    """A backend as the ring has it."""

    users: int


class Connection(TypedDict):
    type: str
    status: str


class Member(TypedDict):
    """A director, as this one sees it."""

    address: str
    port: int
    connections: list[Connection]
    removed: bool
    last_failed: str | None


class Ring(TypedDict):
    synced: bool
    status: str
    self: str | None
    directors: list[Member]


class Place(TypedDict):
    """Where a user is sent: now, until when, by the hash, and by the configuration."""

    backend: str | None
    expires: str | None
    hashed: str | None
    configured: str | None


class Session(TypedDict):
    user: str
    service: str
    client: str
    backend: str


class Drift(TypedDict):
    """What the ring has otherwise than the configuration file."""

    host: str
    what: str
    live: str | int | None
    configured: str | int | None


# What follows C(doveadm director).
Words = list[str | int]
# User, hash and host; no more than a tuple, because there may be 100,000.
Assigned = tuple[str, str, str]

# --- what doveadm prints ---------------------------------------------------------------------------


def parse_backends(rows: Iterable[Row]) -> dict[str, Backend]:
    """Host to C(tag), C(weight), C(state) and C(users), from the rows of C(director status)."""
    try:
        return {
            row["mail server ip"]: {
                "tag": "" if row["tag"] == "-" else row["tag"],
                "weight": int(row["vhosts"]),
                "state": row["state"],
                "users": int(row["users"]),
            }
            for row in rows
        }
    except (KeyError, ValueError, TypeError):
        raise not_understood("doveadm director status", rows)


def parse_ring(rows: Collection[Row]) -> Ring:
    """C(synced), C(status), C(self) and C(directors), from the rows of C(director ring status).

    Only a director's own row says whether it agrees with the ring. In a ring of two the other one has
    two rows, one for each side.
    """
    try:
        own = next((row for row in rows if row["type"] == "self"), None)
        status = own["status"] + "" if own else "no ring"
        directors: dict[tuple[str, int], Member] = {}
        for row in rows:
            # connections that have not told yet whose they are come without an address
            if row["director ip"] in ("", "-"):
                continue
            member = directors.setdefault(
                (row["director ip"], int(row["port"])),
                {
                    "address": row["director ip"],
                    "port": int(row["port"]),
                    "connections": [],
                    "removed": False,
                    "last_failed": None,
                },
            )
            if row["type"] in ("left", "right", "in", "out"):
                member["connections"].append({"type": row["type"], "status": row["status"]})
            member["removed"] = member["removed"] or row["type"] == "removed"
            member["last_failed"] = None if row["last failed"] in ("never", "-") else row["last failed"]
        return {
            "synced": status == "ring synced",
            "status": status,
            "self": "%s:%s" % (own["director ip"], own["port"]) if own else None,
            "directors": [directors[key] for key in sorted(directors)],
        }
    except (KeyError, ValueError, TypeError):
        raise not_understood("doveadm director ring status", rows)


def parse_user(rows: Iterable[Row]) -> Place:
    """C(backend) now, C(expires), C(hashed) and C(configured) backend, from C(director status USER TAG)."""
    try:
        (row,) = rows
        assigned = row["status"] not in ("n/a", "")
        return {
            "backend": row["status"] if assigned else None,
            "expires": row["expires"] if assigned else None,
            "hashed": row["hashed"] or None,
            "configured": row["initial-config"] or None,
        }
    except (KeyError, ValueError, TypeError):
        raise not_understood("doveadm director status USER", rows)


UNKNOWN_USER = "<unknown>"


def map_row(pairs: Iterable[tuple[str, Any]]) -> Assigned:
    """C((user, hash, host)) of a row of C(director map)."""
    row = dict(pairs)
    return row["user"], row["hash"], row["mail server ip"]


def parse_map(rows: Iterable[Assigned]) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """Host to its users, and host to the hashes of those users whom the user database does not list."""
    users: dict[str, list[str]] = {}
    unknown: dict[str, list[str]] = {}
    try:
        for user, user_hash, host in rows:
            if user == UNKNOWN_USER:
                unknown.setdefault(host, []).append(user_hash)
            else:
                users.setdefault(host, []).append(user)
    except (ValueError, TypeError):
        raise not_understood("doveadm director map", rows)
    return users, unknown


def parse_sessions(rows: Iterable[Row]) -> list[Session]:
    """C((user, service, client, backend)) of each session, from C(proxy list); its first row repeats the header."""
    try:
        return [
            {"user": row["username"], "service": row["service"], "client": row["src-ip"], "backend": row["dest-ip"]}
            for row in rows
            if row["service"] != "service"
        ]
    except (KeyError, TypeError):
        raise not_understood("doveadm proxy list", rows)


def login_connections(table: str, hosts: Container[str]) -> int:
    """The number of connections from login processes to I(hosts), in what C(ss -Htnp state established) prints."""
    rows = (line.split(None, 4) for line in table.splitlines())
    return sum(len(row) == 5 and '-login"' in row[4] and row[3].rpartition(":")[0].strip("[]") in hosts for row in rows)


def parse_configured(text: str, resolve: Callable[[str], str]) -> dict[str, str]:
    """Host to tag, from the value of C(director_mail_servers): addresses, ranges and names, each with its tag."""
    hosts: dict[str, str] = {}
    for word in text.split():
        where, _at, tag = word.partition("@")
        first, _dash, last = where.partition("-")
        try:
            low, high = ipaddress.ip_address(first), ipaddress.ip_address(last or first)
        except ValueError:
            # a name, which may have a dash of its own
            hosts[resolve(where)] = tag
            continue
        hosts.update(((low + offset).compressed, tag) for offset in range(int(high) - int(low) + 1))
    return hosts


# --- what is to be told ----------------------------------------------------------------------------


def takes_no_users(backend: Setting) -> bool:
    """A drained host (weight 0) or one that is down was made so by somebody: not ours to undo."""
    return backend["weight"] == 0 or backend["state"] != "up"


def plan(
    desired: Mapping[str, Setting], current: Mapping[str, Backend], exclusive: bool = False, restore: bool = False
) -> list[Words]:
    """The commands (words after C(doveadm director)) that lead from I(current) to I(desired).

    I(desired): host to C(tag), C(weight) and optionally C(state).  I(current): as of C(parse_backends).
    Without I(restore) hosts that were drained or taken down stay so.
    """
    commands: list[Words] = []
    for host, backend in desired.items():
        live = current.get(host)
        if live is not None and live["tag"] != backend["tag"]:
            # doveadm refuses to change a tag
            commands.append(["remove", host])
            if not restore and takes_no_users(live):
                # the new entry keeps an operator's decision
                backend = {**backend, "weight": live["weight"], "state": live["state"]}
            live = None
        if live is None:
            commands.extend(_create(host, backend))
        elif restore or not takes_no_users(live):
            commands.extend(_change(host, backend, live))
    if exclusive:
        commands.extend(["remove", host] for host in current if host not in desired)
    return commands


def _create(host: str, backend: Setting) -> Iterator[Words]:
    yield ["add", "%s@%s" % (host, backend["tag"]) if backend["tag"] else host, backend["weight"]]
    if backend.get("state", "up") != "up":
        yield ["down", host]


def _change(host: str, backend: Setting, live: Setting) -> Iterator[Words]:
    if live["weight"] != backend["weight"]:
        yield ["update", host, backend["weight"]]
    if live["state"] != backend.get("state", "up"):
        yield [backend.get("state", "up"), host]


def kept(desired: Mapping[str, Setting], current: Mapping[str, Backend]) -> list[str]:
    """Hosts that stay drained or down against I(desired)."""
    return sorted(
        host
        for host, live in current.items()
        if host in desired and takes_no_users(live) and list(_change(host, desired[host], live))
    )


def apply_plan(commands: Iterable[Words], current: Mapping[str, Backend]) -> dict[str, Backend]:
    """What I(current) becomes through I(commands): for check mode, the diff, and the result."""
    after: dict[str, Backend] = {host: {**backend} for host, backend in current.items()}
    for verb, where, *more in commands:
        host = str(where)
        if verb == "add":
            host, _at, tag = host.partition("@")
            after[host] = {"tag": tag, "weight": int(more[0]), "state": "up", "users": 0}
        elif verb == "remove":
            after.pop(host, None)
        elif verb == "update":
            after[host]["weight"] = int(more[0])
        elif verb in ("up", "down"):
            after[host]["state"] = str(verb)
    return after


def retagged(commands: Iterable[Words]) -> list[str]:
    """Hosts that are removed and added again, because their tag changes."""
    removed = {str(words[1]) for words in commands if words[0] == "remove"}
    return sorted(removed & {str(words[1]).partition("@")[0] for words in commands if words[0] == "add"})


def as_lines(backends: Mapping[str, Backend], notes: Container[str] = ()) -> str:
    """One line a host, for the diff; the number of users is no setting and left out."""
    return "".join(
        "%s tag=%s weight=%d %s%s\n"
        % (
            host,
            backend["tag"] or "-",
            backend["weight"],
            backend["state"],
            " (removed and added, its users are assigned again)" if host in notes else "",
        )
        for host, backend in sorted(backends.items())
    )


def diff(current: Mapping[str, Backend], after: Mapping[str, Backend], commands: Iterable[Words] = ()) -> dict[str, str]:
    return {"before": as_lines(current), "after": as_lines(after, retagged(commands))}


def refuse_to_empty(current: Mapping[str, Backend], after: Mapping[str, Backend]) -> None:
    """Raises NotAllowed when a tag whose backends took users would have none that does."""
    for tag in sorted({backend["tag"] for backend in current.values() if not takes_no_users(backend)}):
        if all(takes_no_users(backend) for backend in after.values() if backend["tag"] == tag):
            hosts = ", ".join(host for host, backend in current.items() if backend["tag"] == tag and not takes_no_users(backend))
            raise NotAllowed(
                "%s is the last backend %sthat takes users: its users would wait for half a minute at each login and then "
                "fail. Bring another one up first, or say force: true" % (hosts, "with the tag '%s' " % tag if tag else "")
            )


# --- comparing with the configuration --------------------------------------------------------------

DEFAULT_WEIGHT = 100


def drift(live: Mapping[str, Backend], configured: Mapping[str, str]) -> list[Drift]:
    """What a restart of all directors would change: sentences, in the order of the hosts.

    I(configured): as of C(parse_configured). The file knows no weights and no host that is down.
    """
    found: list[Drift] = []
    for host in sorted(set(live) | set(configured)):
        if host not in configured:
            found.append({"host": host, "what": "extra", "live": live[host]["tag"], "configured": None})
        elif host not in live:
            found.append({"host": host, "what": "missing", "live": None, "configured": configured[host]})
        else:
            backend = live[host]
            compared: tuple[tuple[str, str | int, str | int], ...] = (
                ("tag", backend["tag"], configured[host]),
                ("weight", backend["weight"], DEFAULT_WEIGHT),
                ("state", backend["state"], "up"),
            )
            for what, there, expected in compared:
                if there != expected:
                    found.append({"host": host, "what": what, "live": there, "configured": expected})
    return found


def as_variables(live: Mapping[str, Backend]) -> list[Declared]:
    """The backends in the form that director_backends takes."""
    return [
        {"host": host, "tag": backend["tag"], "weight": backend["weight"], "state": backend["state"]}
        for host, backend in sorted(live.items())
    ]
