"""The watch over the partner: when users are synchronised again, and how long the VIP is kept from it."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys

import pytest
from programs import program as load


@pytest.fixture(scope="module")
def program():
    return load("replication", "partner")


class World:
    """A pair as one node sees it, a second a round."""

    def __init__(self, program):
        self.now = 100.0
        self.partner_answers = True
        self.vip_here = False
        self.synchronised = {"alice": 100.0, "bob": 100.0}  # when each last was
        self.failed, self.queued = set(), {"alice", "bob"}
        self.told, self.said = [], []
        self.listed, self.complete = {"alice", "bob"}, True  # by the user database
        self.listings = 0
        self.asked = 0  # times that the partner was
        self.syncing, self.ended = {}, []  # processes that synchronise, with what each has received; those that were ended
        self.watch = program.Watch(self, "mail2", self.said.append, lambda: self.now)

    def answers(self):
        self.asked += 1
        return self.partner_answers

    def holds_vip(self):
        return self.vip_here

    def syncs(self):
        return dict(self.syncing)

    def end(self, process):
        self.ended.append(process)
        self.syncing.pop(process, None)

    def listing(self):
        self.listings += 1
        return self.listed, self.complete

    def replicator(self, *words):
        if words[0] == "add":
            self.synchronised.update(dict.fromkeys(self.listed - set(self.synchronised)))
        if words[0] != "status":
            self.told.append(" ".join(words))
            return ""
        if len(words) == 1:
            return json.dumps(
                [
                    {"field": "Queued 'sync' requests", "value": "7"},
                    {"field": "Waiting 'failed' requests", "value": str(len(self.failed))},
                ]
            )
        return json.dumps(
            [
                {
                    "username": name,
                    "priority": "low" if name in self.queued else "none",
                    "success sync": f"00:{(self.now - when) // 60:02.0f}:{(self.now - when) % 60:02.0f}" if when else "-",
                    "failed": "y" if name in self.failed else "-",
                }
                for name, when in self.synchronised.items()
            ]
        )

    def rounds(self, number=1):
        for _round in range(number):
            ahead = self.watch.look()
            self.now += 1
        return ahead

    def synchronise(self, *names):
        for name in names:
            self.synchronised[name] = self.now
            self.failed.discard(name)
            self.queued.discard(name)


@pytest.fixture
def world(program):
    return World(program)


def test_all_users_are_synchronised_once_when_the_watch_begins(world):
    world.rounds(5)
    assert world.told == ["replicate *"]


def test_all_users_are_synchronised_once_when_the_partner_is_back(world):
    world.rounds(3)
    world.partner_answers = False
    world.rounds(5)
    assert world.told == ["replicate *"]
    world.partner_answers = True
    world.rounds(5)
    assert world.told == ["replicate *", "replicate *"]


LOST, RESUMED, NEW = 11, 12, 13  # processes


def test_syncs_that_wait_for_a_partner_that_is_gone_end(world):
    world.rounds(3)
    world.syncing, world.partner_answers = {LOST: 1}, False
    world.rounds(1)
    assert world.ended == []
    world.rounds(1)
    assert world.ended == [LOST]
    assert world.said[-1] == "ended 1 synchronisations that waited for mail2"


def test_a_sync_that_finds_the_partner_back_before_the_watch_does_goes_on(world):
    """It is interrupted on this side only, and the other side would write beside the next one."""
    world.rounds(3)
    world.partner_answers = False
    world.rounds(3)
    world.syncing = {NEW: 0}
    world.rounds(1)
    world.partner_answers, world.syncing = True, {NEW: 50}
    world.rounds(20)
    assert world.ended == []


def test_after_a_short_outage_what_has_not_gone_on_ends_and_nothing_else(world):
    world.rounds(3)
    world.syncing, world.partner_answers = {LOST: 100, RESUMED: 100}, False
    world.rounds(1)
    world.partner_answers, world.syncing = True, {LOST: 100, RESUMED: 101, NEW: 0}
    world.rounds(3)
    assert world.ended == []
    world.rounds(20)
    assert world.ended == [LOST]


WAITS = """
import socket, sys
with open("/proc/self/comm", "w") as name:
    name.write("doveadm-server")
with socket.create_connection(("127.0.0.1", int(sys.argv[1]))) as connection:
    connection.recv(1)
"""


def test_processes_that_synchronise_are_known_by_their_connection_and_killed(program):
    with socket.create_server(("127.0.0.1", 0)) as server:
        address, port = server.getsockname()
        node = program.Node(program.Settings(name="mail2", address=address, port=port, tls=False, vip="", ahead=""))
        process = subprocess.Popen([sys.executable, "-c", WAITS, str(server.getsockname()[1])])
        with server.accept()[0]:
            assert node.syncs() == {process.pid: 0}
            node.end(process.pid)
            assert process.wait(5) == -signal.SIGKILL
            node.end(process.pid)


def test_each_change_is_said_once(world):
    world.rounds(3)
    world.synchronise("alice", "bob")
    world.rounds(3)
    world.partner_answers = False
    world.rounds(3)
    assert world.said == [
        "mail2 answers: synchronising all users",
        "all 2 users are synchronised with mail2, 2 s after it answered",
        "mail2 does not answer",
    ]


def test_without_the_vip_the_node_is_never_ahead(world):
    assert not world.rounds(3)
    world.partner_answers = False
    assert not world.rounds(3)


def test_the_holder_is_ahead_until_every_user_was_synchronised_after_the_partners_return(world):
    world.vip_here = True
    world.partner_answers = False
    assert world.rounds(3)
    world.partner_answers = True
    assert world.rounds(3)
    world.synchronise("alice")
    assert world.rounds(2)
    world.synchronise("bob")
    assert not world.rounds(2)


def test_a_synchronisation_just_before_the_partner_answered_does_not_count(world):
    world.vip_here = True
    world.synchronise("alice", "bob")
    assert world.rounds(5)


def test_who_has_just_got_the_vip_is_ahead(world):
    """The partner may have been away for less than a round."""
    world.rounds(3)
    world.synchronise("alice", "bob")
    assert not world.rounds(2)
    world.vip_here = True
    assert world.rounds(1)
    world.rounds(2)
    world.synchronise("alice", "bob")
    assert not world.rounds(2)


def test_who_has_just_got_the_vip_is_ahead_before_the_partner_is_asked(world):
    """To ask a partner that is dead takes seconds, and keepalived does not wait for them."""
    world.rounds(3)
    asked, world.vip_here = world.asked, True
    assert world.rounds(1)
    assert world.asked == asked
    world.rounds(1)
    assert world.asked == asked + 1


def test_a_program_that_hangs_is_trouble_of_this_node(program, monkeypatch):
    monkeypatch.setattr(program, "OWN_TIMEOUT", 0.1)
    with pytest.raises(program.Failed, match="sleep 5 gave no answer"):
        program.output_of("sleep", "5")


def test_a_synchronisation_in_the_same_second_in_which_it_was_queued_counts(world):
    """As a small pair's are: they take some milliseconds."""
    world.vip_here = True
    world.rounds(2)
    world.watch.look()
    assert world.told == ["replicate *"]
    world.now += 0.3
    world.synchronise("alice", "bob")
    world.now += 0.7
    assert not world.rounds(1)


def test_a_user_who_was_being_synchronised_when_the_queue_was_filled_is_queued_anew(world):
    world.rounds(2)
    world.synchronise("alice")
    world.queued.clear()
    world.rounds(15)
    assert world.told == ["replicate *", "replicate -- bob"]


def test_a_user_who_fails_is_queued_again_less_often_the_longer_it_lasts(world):
    world.failed = {"bob"}
    world.rounds(75)
    assert world.told == ["replicate *"] + 3 * ["replicate -- bob"], "after 10, 20 and 40 seconds"
    world.rounds(1200)
    assert 6 <= world.told.count("replicate -- bob") <= 10, "every five minutes at last"


def test_a_user_who_fails_later_is_queued_again_too(world):
    """Both nodes synchronise the same user in the same moment, and one of them gives up."""
    world.vip_here = True
    world.rounds(3)
    world.synchronise("alice", "bob")
    world.rounds(30)
    world.failed = {"bob"}
    assert not world.rounds(10), "the partner has all that was here when it came back"
    assert world.told[:2] == ["replicate *", "replicate -- bob"]


def test_many_failed_users_are_queued_in_one_go(world):
    world.synchronised = {f"user{number}": 100.0 for number in range(101)}
    world.listed = set(world.synchronised)
    world.failed = set(world.synchronised)
    world.rounds(20)
    assert world.told == ["replicate *", "replicate -- *"]


def test_a_clock_that_is_set_back_begins_anew(world):
    world.vip_here = True
    world.rounds(3)
    world.now -= 50
    world.synchronise("alice", "bob")
    assert world.rounds(3)
    world.synchronise("alice", "bob")
    assert not world.rounds(1)


def test_a_user_who_was_never_synchronised_counts_as_missing(world):
    world.vip_here = True
    world.rounds(3)
    world.synchronise("alice", "bob")
    world.synchronised["new"] = None
    assert world.rounds(3)


def test_a_list_of_users_that_is_cut_keeps_the_vip_and_nothing_is_said_to_be_whole(world):
    world.vip_here, world.complete = True, False
    world.rounds(3)
    world.synchronise("alice", "bob")
    assert world.rounds(20)
    assert len(world.said) == 2
    assert world.said[0].startswith("doveadm user '*' lists 2 users and fails")
    assert world.said[1] == "mail2 answers: synchronising all users"


def test_a_list_that_is_cut_is_asked_for_again_less_often_the_longer_it_lasts(world):
    world.complete = False
    world.rounds(3)
    world.synchronise("alice", "bob")
    world.rounds(1200)
    assert 6 <= world.listings <= 10, "every five minutes at last"


def test_when_the_list_is_whole_again_who_was_not_in_it_is_synchronised_before_the_vip_may_go(world):
    world.vip_here, world.complete = True, False
    world.rounds(3)
    world.synchronise("alice", "bob")
    world.rounds(3)
    world.listed, world.complete = {"alice", "bob", "carol"}, True
    assert world.rounds(20)
    assert "add -- *" in world.told
    world.synchronise("carol")
    assert not world.rounds(12)
    assert world.said[2:] == [
        "doveadm user '*' lists all users, 3",
        "all 3 users are synchronised with mail2, 24 s after it answered",
    ]


def test_who_is_listed_but_not_known_to_the_replicator_is_made_known(world):
    """Its own listing failed when it started, or the user is new."""
    world.vip_here = True
    world.listed = {"alice", "bob", "carol"}
    world.rounds(3)
    world.synchronise("alice", "bob")
    assert world.rounds(5)
    assert world.told[:2] == ["add -- *", "replicate *"]
    world.synchronise("carol")
    assert not world.rounds(5)


def test_a_whole_list_is_asked_for_once(world):
    world.rounds(3)
    world.synchronise("alice", "bob")
    world.rounds(1000)
    assert world.listings == 1


def test_a_list_is_whole_when_doveadm_says_so(program, monkeypatch):
    for status, complete in ((0, True), (75, False)):
        done = subprocess.CompletedProcess([], status, "alice\nbob\n", "")
        monkeypatch.setattr(program, "run", lambda *argv, done=done: done)
        assert program.Node(None).listing() == ({"alice", "bob"}, complete)


class Ended(Exception):
    pass


def test_the_arrival_of_the_vip_is_told_at_once_and_once(program, monkeypatch):
    seen, told = [True, True, False, True, True, False], []
    monkeypatch.setattr(program, "write", lambda _file, ahead, before: told.append((ahead, before)))

    class Node:
        @staticmethod
        def holds_vip():
            if not seen:
                raise Ended
            return seen.pop(0)

    with pytest.raises(Ended):
        program.note_arrivals(Node, None, lambda _seconds: None)
    # not when the watch starts, which says then what holds
    assert told == [(True, None)]


@pytest.mark.parametrize(
    ("vip", "here"), [("127.0.0.1", True), ("127.0.0.0", False), ("127.0.0.10", False), ("203.0.113.1", False), ("", False)]
)
def test_an_address_of_this_machine_is_found_and_no_other(vip, here, program):
    settings = program.Settings(name="mail2", address="", port=0, tls=False, vip=vip, ahead="")
    assert program.Node(settings).holds_vip() is here


def test_an_address_that_is_the_target_of_a_route_too_is_found(program, tmp_path, monkeypatch):
    (tmp_path / "table").write_text(
        "     |-- 192.0.2.10\n        /32 link UNICAST\n        /32 host LOCAL\n     |-- 192.0.2.1\n        /32 link UNICAST\n"
    )
    monkeypatch.setattr(program, "ADDRESSES", tmp_path / "table")
    found = [program.Node(program.Settings("", "", 0, False, vip, "")).holds_vip() for vip in ("192.0.2.10", "192.0.2.1")]
    assert found == [True, False]
