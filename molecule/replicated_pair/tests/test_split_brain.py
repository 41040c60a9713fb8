"""Both nodes are up and used, and cannot reach each other for a minute. What dsync does then, as assertions."""

from __future__ import annotations

import hashlib
import random
import threading
import time
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
from clients import eventually, must
from pairs import Load, assert_nothing_lost, await_equal, await_quiet, counted, cut_off

CUT = 60  # seconds
SCRIPT = 'require ["fileinto"];\r\nif header :contains "subject" "{word}" {{ fileinto "{word}"; }}\r\n'


@pytest.fixture(scope="module")
def pair(nodes):
    return nodes["mail1"], nodes["mail2"]


class Side:
    """A client of one user at one node."""

    def __init__(self, clients, user, node):
        self.clients, self.user, self.node = clients, user, node
        self.imap = clients.connect_imap(user, host=node.address)

    def append(self, name, folder="INBOX"):
        must(self.imap.append(f'"{folder}"', None, None, f"Message-ID: <{name}>\r\nSubject: {name}\r\n\r\nx\r\n".encode()))

    def deliver(self, name):
        self.clients.deliver(self.user, host=self.node.address, message_id=name)

    def _find(self, name, folder):
        must(self.imap.select(f'"{folder}"'))
        found = must(self.imap.uid("SEARCH", "HEADER", "Message-ID", name))[0].split()
        assert found, f"{name} is not in {folder} of {self.user} on {self.node.name}"
        return found[0].decode()

    def flag(self, name, flag, folder="INBOX"):
        must(self.imap.uid("STORE", self._find(name, folder), "+FLAGS", flag))

    def move(self, name, target, folder="INBOX"):
        must(self.imap.uid("MOVE", self._find(name, folder), f'"{target}"'))

    def expunge(self, name, folder="INBOX"):
        self.flag(name, r"\Deleted", folder)
        must(self.imap.expunge())

    def folder(self, verb, *names):
        must(getattr(self.imap, verb)(*[f'"{name}"' for name in names]))

    def script(self, word):
        sieve = self.clients.sieve(self.user, host=self.node.address)
        sieve.put("filter", SCRIPT.format(word=word))
        sieve.activate("filter")
        sieve.close()


BEFORE = (
    "flagged on both",
    "moved on both",
    "expunged on both",
    "expunged here, moved there",
    "expunged here",
    "flagged here, expunged there",
    "stays",
)


@contextmanager
def watched_vip(node, address):
    """A list of the times at which the node did not have the VIP."""
    missed, end = [], threading.Event()

    def look():
        began = time.monotonic()
        while not end.wait(0.5):
            if not node.holds(address):
                missed.append(time.monotonic() - began)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield missed
    finally:
        end.set()
        thread.join()


@pytest.fixture(scope="module")
def after(pair, clients, lab, lab_is_whole, vip_holder):
    """What there was when the link was back, after clients had used both nodes."""
    eventually(lab_is_whole, 60, "a whole pair", interval=1)
    users = sorted(clients.passwords)
    for user in users:
        side = Side(clients, user, pair[0])
        for folder in ("Old", "Renamed before", "Deleted before", "Shrinking"):
            side.folder("create", folder)
        for name in BEFORE:
            side.append(key(name, user))
        side.append(key("in the renamed", user), "Renamed before")
        side.append(key("in the deleted", user), "Deleted before")
        side.script("Before")
    await_equal(pair, users)
    eventually(lambda: vip_holder().name == pair[0].name, 60, "the VIP on the preferred node")

    with watched_vip(pair[0], lab["vip"]) as vip_missed:
        with cut_off(pair):
            began = time.monotonic()
            with Load(clients, users, host=pair[0].address) as here, Load(clients, users, host=pair[1].address) as there:
                chance = random.Random(4)
                busy = {user: write_on_both(user, clients, pair, chance) for user in users}
                time.sleep(max(0, CUT - (time.monotonic() - began)))
        began = time.monotonic()
        boxes = await_equal(pair, users, 120)
        print(f"equal {time.monotonic() - began:.0f} s after the link was back")
        time.sleep(5)
    return SimpleNamespace(boxes=boxes, busy=busy, loads=(here, there), vip_missed=vip_missed)


def key(name, user):
    return f"{name.replace(' ', '.').replace(',', '')}.{user.split('@')[0]}@example.net"


def write_on_both(user, clients, pair, chance):
    """Everything that a user can do, on both nodes; gives the names of messages that only one node was told of."""
    here, there = (Side(clients, user, node) for node in pair)
    here.script("Earlier")
    here.flag(key("flagged on both", user), r"\Flagged")
    there.flag(key("flagged on both", user), r"\Answered")
    here.move(key("moved on both", user), "Old")
    there.move(key("moved on both", user), "Shrinking")
    here.expunge(key("expunged on both", user))
    there.expunge(key("expunged on both", user))
    here.expunge(key("expunged here, moved there", user))
    there.move(key("expunged here, moved there", user), "Old")
    here.expunge(key("expunged here", user))
    here.flag(key("flagged here, expunged there", user), r"\Flagged")
    there.expunge(key("flagged here, expunged there", user))
    here.folder("rename", "Renamed before", "Renamed after")
    there.append(key("for the renamed", user), "Renamed before")
    here.folder("delete", "Deleted before")
    there.folder("create", "New there")
    there.append(key("in the new", user), "New there")
    here.folder("create", "Same name")
    here.append(key("same here", user), "Same name")
    there.folder("create", "Same name")
    there.append(key("same there", user), "Same name")
    names = []
    for number in range(30):
        for side, word in ((here, "here"), (there, "there")):
            name = key(f"{word} {number}", user)
            chance.choice([side.append, side.deliver])(name)
            if chance.random() < 0.3:
                eventually(lambda side=side, name=name: side.flag(name, r"\Seen") or True, what=f"{name} delivered")
            names.append(name)
    there.script("Later")
    return names


def test_both_nodes_are_identical_and_nobody_has_failed(after, pair):
    await_quiet(pair)


def test_no_message_of_one_side_is_lost_or_doubled(after):
    for user, names in after.busy.items():
        found = counted(after.boxes[user])
        wrong = {name: found[name] for name in names if found[name] != 1}
        assert not wrong, f"{len(wrong)} messages of {user} are not there once: {wrong}"
    for load in after.loads:
        assert not load.refused, f"a node of a split pair refused clients: {load.refused[:3]}"
        assert_nothing_lost(load, after.boxes)


def test_the_vip_stays_with_the_preferred_node(after, vip_holder):
    """Both held it while they were apart; and the other one lacks nothing less than the preferred."""
    assert not after.vip_missed, f"mail1 lost the VIP for a while, first {after.vip_missed[0]:.0f} s after the cut"
    assert vip_holder().name == "mail1"


def where(box, name, user):
    return sorted(message[0] for message in box["messages"] if message[4].strip("<>") == key(name, user))


def flags(box, name, user):
    return [message[3] for message in box["messages"] if message[4].strip("<>") == key(name, user)]


# What dsync makes of it: the folders in which a message is afterwards.
RULES = {
    "stays": [["INBOX"]],
    "flagged on both": [["INBOX"]],
    "expunged on both": [[]],
    "expunged here": [[]],
    "flagged here, expunged there": [[]],
    # moved on both sides it may be in both places: a move is a copy and an expunge
    "moved on both": [["Old", "Shrinking"], ["Old"], ["Shrinking"]],
    # the copy survives
    "expunged here, moved there": [["Old"]],
    "in the renamed": [["Renamed after"], ["Renamed before"]],
    "for the renamed": [["Renamed after"], ["Renamed before"]],
    "in the new": [["New there"]],
    # a folder of the same name that both have made is one afterwards
    "same here": [["Same name"]],
    "same there": [["Same name"]],
    # the folder was deleted, and nothing came into it meanwhile
    "in the deleted": [[]],
}


@pytest.mark.parametrize("name", RULES)
def test_what_both_sides_did_to_the_same_message(name, after):
    for user, box in after.boxes.items():
        assert where(box, name, user) in RULES[name], f"'{name}' of {user} is in {where(box, name, user)}"


def test_flags_of_both_sides_are_united(after):
    for user, box in after.boxes.items():
        assert flags(box, "flagged on both", user) == [r"\Answered \Flagged"]


def test_of_a_sieve_script_the_later_change_counts(after):
    changed = hashlib.sha1(SCRIPT.format(word="Later").encode()).hexdigest()
    for user, box in after.boxes.items():
        assert f"{changed} filter.sieve" in " ".join(box["scripts"].split()), f"{user} has {box['scripts']}"
