"""An active/passive pair: who serves, what can fail, and what clients saw of it."""

from __future__ import annotations

import re
from contextlib import contextmanager
from dataclasses import dataclass

from clients import eventually
from pairs import Load, assert_nothing_lost, mailboxes_of

WHOLE = 240  # seconds until any node may die again
UP = 3  # messages of each kind that must have gone through before something fails, and after


@dataclass
class Pair:
    nodes: list
    drbd: bool = True
    bmcs: bool = True  # which switch a node on again

    def other(self, node):
        return next(other for other in self.nodes if other is not node)

    def state(self, node):
        """What Pacemaker and DRBD tell on a node, in one look, since a machine is slow to start a program; empty if it cannot."""
        return node.host.run("crm_mon --one-shot --inactive && cat /proc/drbd").stdout

    def look(self):
        """The node with the whole service, as the cluster itself has it, and what it tells."""
        for node in self.nodes:
            state = self.state(node) if node.is_up() else ""
            places = set(re.findall(r"\* (?:filesystem|dovecot|address)\s.*Started (\S+)", state))
            if len(places) == 1:
                name = places.pop()
                return next(node for node in self.nodes if node.name == name), state
        raise AssertionError("no node serves")

    def active(self):
        return self.look()[0]

    def is_online(self, node):
        """Whether the cluster has this node."""
        return bool(re.search(rf"Online: \[[^]]*\b{node.name}\b", self.look()[1]))

    def is_whole(self):
        """Both nodes are there, and have all of the mail; who serves."""
        node, state = self.look()
        assert re.search(r"Online: \[ \S+ \S+ \]", state), state
        assert "UNCLEAN" not in state and "pending" not in state, state
        if self.drbd:
            assert "cs:Connected" in state and "ds:UpToDate/UpToDate" in state, state
        return node

    def await_whole(self, seconds=WHOLE):
        return eventually(self.is_whole, seconds, "a pair of which any node may die", interval=5)

    def mounted(self, node):
        return node.host.run("mountpoint --quiet /var/vmail").rc == 0


@contextmanager
def under_load(pair, clients, users, pause=1.0):
    """Mail comes and is read all the time; at the end all that was acknowledged is there, on the active node.

    I(pause): seconds between two deliveries, and between two sessions. Outages are known to so many seconds.
    """
    with Load(clients, users, pause=pause) as load:
        eventually(lambda: min(len(load.all_of(user)) for user in users) >= UP, 30, "load")
        yield load
        done = {user: len(load.all_of(user)) for user in users}
        eventually(lambda: all(len(load.all_of(user)) >= done[user] + UP for user in users), 120, "mail that goes through again")
    # after a power cut Dovecot may have indexes to repair at the first look
    assert_nothing_lost(load, eventually(lambda: mailboxes_of(pair.active(), users), 60, "mailboxes that can be read"))


def longest(load):
    return max(load.outages, default=0.0)
