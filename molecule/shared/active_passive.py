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

    def other(self, node):
        return next(other for other in self.nodes if other is not node)

    def state(self, node):
        """What crm_mon tells on a node."""
        return node.run("crm_mon --one-shot --inactive")

    def active(self):
        """The node with the whole service, as the cluster itself has it."""
        for node in self.nodes:
            if node.is_up():
                places = set(re.findall(r"\* (?:filesystem|dovecot|address)\s.*Started (\S+)", self.state(node)))
                if len(places) == 1:
                    name = places.pop()
                    return next(node for node in self.nodes if node.name == name)
        raise AssertionError("no node serves")

    def is_whole(self):
        """Both nodes are there, and have all of the mail; who serves."""
        node = self.active()
        state = self.state(node)
        assert re.search(r"Online: \[ \S+ \S+ \]", state), state
        assert "UNCLEAN" not in state and "pending" not in state, state
        if self.drbd:
            status = node.run("cat /proc/drbd")
            assert "cs:Connected" in status and "ds:UpToDate/UpToDate" in status, status
        return node

    def await_whole(self, seconds=WHOLE):
        return eventually(self.is_whole, seconds, "a pair of which any node may die", interval=1)

    def mounted(self, node):
        return node.host.run("mountpoint --quiet /var/vmail").rc == 0


@contextmanager
def under_load(pair, clients, users):
    """Mail comes and is read all the time; at the end all that was acknowledged is there, on the active node."""
    with Load(clients, users, pause=0.3) as load:
        eventually(lambda: min(len(load.all_of(user)) for user in users) >= UP, 30, "load")
        yield load
        done = {user: len(load.all_of(user)) for user in users}
        eventually(lambda: all(len(load.all_of(user)) >= done[user] + UP for user in users), 120, "mail that goes through again")
    # after a power cut Dovecot may have indexes to repair at the first look
    assert_nothing_lost(load, eventually(lambda: mailboxes_of(pair.active(), users), 60, "mailboxes that can be read"))


def longest(load):
    return max(load.outages, default=0.0)
