# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a user who is moved comes from and goes to, and what stands in the way: plain data in, plain data out."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypedDict

from ansible_collections.mailcluster.dovecot.plugins.plugin_utils._topology import Topology

SINGLE_USER = re.compile(r"[A-Za-z0-9._+=@-]+\Z")


def move_obstacles(
    topology: Topology, user: str, to: object, reached: Iterable[str], users: Iterable[Mapping[str, Any]] = ()
) -> list[str]:
    """What is wrong with the request itself, as sentences with their remedies.

    I(reached): names of the nodes that were reached.  I(users): those of C(dovecot_users).
    """
    return list(_obstacles(topology, user, str(to), set(reached), users))


def _obstacles(
    topology: Topology, user: str, to: str, reached: Collection[str], users: Iterable[Mapping[str, Any]]
) -> Iterator[str]:
    if not topology["proxies"]:
        yield (
            "dovecot_proxies: the cluster has no proxies, so nobody would send the user to another partition, nothing was "
            "changed: with directors, move the user's mail by hand"
        )
    pairs = [name for name, node in topology["nodes"].items() if "active_passive" in node["roles"]]
    if pairs:
        yield (
            "dovecot_active_passive: %s, of which one node has no Dovecot at any time, so that this playbook cannot ask all "
            "backends, nothing was changed: move the user's mail by hand (doveadm backup)" % ", ".join(pairs)
        )
    if not user:
        yield "dovecot_move_user: not set, nothing was changed: give -e dovecot_move_user=NAME"
    elif not SINGLE_USER.match(user):
        yield (
            "dovecot_move_user: %s is no single user, nothing was changed: give one name, without wildcards, quotes, "
            "brackets and spaces" % user
        )
    if to not in topology["partitions"]:
        yield (
            "dovecot_move_to: %s is no partition, nothing was changed: give -e dovecot_move_to= with one of %s"
            % (to or "(not set)", ", ".join(topology["partitions"]))
        )
    missing = [name for name in dict.fromkeys(topology["backends"] + topology["proxies"]) if name not in reached]
    if missing:
        yield (
            "%s: not reached, nothing was changed: every proxy and backend must know where the user is; start it, or take it "
            "out of the inventory, and run again" % ", ".join(missing)
        )
    listed = next((entry for entry in users if "partition" in entry and str(entry["name"]).lower() == user.lower()), None)
    if listed and str(listed["partition"]) != to:
        yield (
            "dovecot_users: %s is still in partition %s, nothing was changed: write %s there, and run this playbook before "
            "any other" % (user, listed["partition"], to)
        )


MAIL = "mail"  # a line of what was found: the user has mail there


class Way(TypedDict):
    user: str
    home: str
    target: str
    target_address: str
    doors: list[str]
    knowing: Sequence[str]
    begun: list[str]
    sources: list[str]
    obstacles: list[str]


def move_way(
    topology: Topology, user: str, to: object, knowing: Sequence[str], found: Mapping[str, Sequence[str]], home: str
) -> Way:
    """The way of a user, with C(obstacles).

    I(knowing): the backends that know the user.  I(found): by backend, the lines C(mail), and those of its file of users who are
    being moved, C(NAME::::from:::) or C(NAME::::to:::).
    """
    name = user.lower()
    target = topology["partitions"][str(to)][0]
    begun_from, begun_to, mail = (
        [node for node, lines in found.items() if line in lines] for line in ("%s::::from:::" % name, "%s::::to:::" % name, MAIL)
    )
    begun = begun_from + [node for node in begun_to if node not in begun_from]
    # where a begun move came from; where it went to, when it is to be undone; where the database says
    sources = [node for node in begun_from or begun_to or knowing if node != target]
    if not sources and not begun:
        sources = [node for node in mail if node != target]
    moving = {line.partition(":")[0] for lines in found.values() for line in lines if line not in ("", MAIL)}
    way: Way = {
        "user": name,
        "home": home,
        "target": target,
        "target_address": topology["nodes"][target]["address"],
        "doors": topology["proxies"],
        "knowing": knowing,
        "begun": begun,
        "sources": sources,
        "obstacles": [],
    }
    way["obstacles"] = list(_conflicts(way, sorted(moving - {name})))
    return way


def _conflicts(way: Way, others: Sequence[str]) -> Iterator[str]:
    if not way["knowing"]:
        yield (
            "dovecot_move_user: no backend knows %s, nothing was changed: is the name right, and the home server in the "
            "database a partition?" % way["user"]
        )
    if len(way["sources"]) > 1:
        yield (
            "dovecot_move_to: the mail of %s is on %s, nothing was changed: first finish the move between %s, "
            "or move what should not be there away from %s"
            % (way["user"], " and ".join(way["sources"]), " and ".join(way["begun"]), way["home"])
        )
    if others:
        yield (
            "dovecot_move_user: %s is being moved, nothing was changed: move one user at a time. If no other run is active, "
            "finish that move first" % ", ".join(others)
        )
