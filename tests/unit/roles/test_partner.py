"""The watch over the partner: when users are synchronised anew, and how long the VIP is kept from it."""

from __future__ import annotations

import json
from pathlib import Path

import jinja2
import pytest

TEMPLATE = Path(__file__).resolve().parents[3] / "roles/replication/templates/partner.py.j2"


@pytest.fixture(scope="module")
def program():
    environment = jinja2.Environment()
    environment.filters["to_json"] = json.dumps
    source = environment.from_string(TEMPLATE.read_text()).render(
        ansible_managed="", dovecot_doveadm_port=12345, dovecot_replication_transport="tcp",
        __dovecot_partner={"name": "mail2", "address": "198.51.100.32"},
        __dovecot_topology={"vip": {"address": "198.51.100.10"}}, __dovecot_roles=["replication", "service_address"],
        __dovecot_ahead_file="/run/ahead")
    namespace = {"__name__": "partner"}
    exec(compile(source, str(TEMPLATE), "exec"), namespace)
    return namespace


class World:
    """A pair as one node sees it, a second a round."""

    def __init__(self, program):
        self.now = 100.0
        self.partner_answers = True
        self.vip_here = False
        self.synchronised = {"alice": 100.0, "bob": 100.0}  # when each last was
        self.failed = set()
        self.told, self.said = [], []
        self.watch = program["Watch"](self.replicator, lambda: self.partner_answers, lambda: self.vip_here,
                                      self.said.append, lambda: self.now)

    def replicator(self, *words):
        if words[0] != "status":
            self.told.append(" ".join(words))
            return ""
        return json.dumps([
            {"username": name, "success sync": f"00:00:{self.now - when:02.0f}", "failed": "y" if name in self.failed else "-"}
            for name, when in self.synchronised.items()])

    def rounds(self, number=1):
        for _round in range(number):
            ahead = self.watch.look()
            self.now += 1
        return ahead

    def synchronise(self, *names):
        for name in names:
            self.synchronised[name] = self.now
            self.failed.discard(name)


@pytest.fixture
def world(program):
    return World(program)


def test_all_users_are_synchronised_once_when_the_watch_begins(world):
    world.rounds(5)
    assert world.told == ["replicate *"]


def test_all_users_are_synchronised_once_when_the_partner_is_back(world):
    world.rounds(2)
    world.partner_answers = False
    world.rounds(5)
    assert world.told == ["replicate *"]
    world.partner_answers = True
    world.rounds(5)
    assert world.told == ["replicate *"] * 2


def test_each_change_is_said_once(world):
    world.rounds(3)
    world.synchronise("alice", "bob")
    world.rounds(3)
    world.partner_answers = False
    world.rounds(3)
    assert world.said == ["mail2 answers: synchronising all users",
                          "all 2 users are synchronised with mail2, 3 s after it answered",
                          "mail2 does not answer"]


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


def test_users_whose_pass_fails_are_queued_again_for_two_minutes(world):
    world.failed = {"bob"}
    world.rounds(60)
    again = world.told.count("replicate -- bob")
    assert again == 5, "every ten seconds"
    assert "replicate -- alice" not in world.told
    world.synchronise("alice", "bob")
    world.rounds(60)
    assert world.told.count("replicate -- bob") == again


def test_a_user_who_was_never_synchronised_counts_as_waiting(program):
    users = [{"username": "new", "success sync": "-", "failed": "-"},
             {"username": "old", "success sync": "25:00:01", "failed": "y"}]
    assert program["waiting"](users, 10) == (["new", "old"], ["old"])
