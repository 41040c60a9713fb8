"""The nightly catch-up: what becomes of each user, and what it tells of them."""

from __future__ import annotations

import subprocess

import pytest
from programs import program as load


@pytest.fixture
def program():
    return load("replication", "catchup")


def settings(program, share=0):
    return program.Settings(spread=0, share=share, parameters=["-d", "-N"], partner="198.51.100.32:12347")


class Node:
    """A doveadm whose users are given: name to what each try to synchronise comes to, an error or nothing."""

    def __init__(self, users):
        self.users = users
        self.listing = [sorted(users)]  # the last one stays
        self.listing_status = 0
        self.fields = {}  # user to the exit status and output of his look-up
        self.differing = set()

    def doveadm(self, *words):
        rc, out, err = getattr(self, f"answer_{words[0].lstrip('-')}")(*words[1:])
        return subprocess.CompletedProcess(words, rc, out, err)

    def answer_user(self, *words):
        if words == ("*",):
            names = self.listing.pop(0) if len(self.listing) > 1 else self.listing[0]
            return self.listing_status, "".join(f"{name}\n" for name in names), ""
        return (*self.fields.get(words[-1], (0, "")), "")

    def answer_f(self, *words):
        return 0, "partner" if "-S" in words and words[words.index("-u") + 1] in self.differing else "", ""

    def answer_sync(self, _u, user, *_parameters):
        error = self.users[user].pop(0)
        return (75, "", f"{error}\n") if error else (0, "", "")


@pytest.fixture
def run(program, monkeypatch, capsys):
    """Exit status and lines of a catch-up on a node that has all users in its share."""
    monkeypatch.setattr(program, "SETTLE", 0)
    monkeypatch.setattr(program.CatchUp, "is_mine", lambda _self, _user: True)

    def run(node):
        monkeypatch.setattr(program, "doveadm", node.doveadm)
        return program.CatchUp(settings(program)).run(now=True), capsys.readouterr().out.splitlines()

    return run


def test_who_is_repaired_at_the_second_try_is_named(run):
    node = Node({"alice": [""], "bob": ["no route", ""]})
    node.differing = {"bob"}
    status, lines = run(node)
    assert status == 0
    assert lines == ["repaired: bob", "full synchronisation: 2 users synchronised, 0 failed, 1 repaired, 0 s"]


def test_who_fails_twice_is_named_with_the_reason(run):
    node = Node({"alice": [""], "bob": ["no route", "no route"]})
    node.differing = {"alice"}
    status, lines = run(node)
    assert status == 1
    assert lines == [
        "repaired: alice",
        "failed: bob: no route",
        "full synchronisation: 1 users synchronised, 1 failed, 1 repaired, 0 s",
    ]


def test_who_is_not_replicated_is_left_alone(run):
    node = Node({"alice": [""], "bob": []})
    node.fields["bob"] = 0, "y\n"
    assert run(node) == (0, ["full synchronisation: 1 users synchronised, 0 failed, 0 repaired, 0 s"])


def test_who_cannot_be_looked_up_fails_and_keeps_nobody_from_it(run):
    node = Node({"alice": [], "bob": [""]})
    node.fields["alice"] = 75, ""
    assert run(node) == (
        1,
        ["failed: alice: exit status 75", "full synchronisation: 1 users synchronised, 1 failed, 0 repaired, 0 s"],
    )


def test_who_was_removed_meanwhile_is_named_and_is_no_failure(run):
    node = Node({"alice": [], "bob": [""]})
    node.fields["alice"], node.listing = (67, ""), [["alice", "bob"], ["bob"]]
    assert run(node) == (
        0,
        [
            "gone: alice: removed from the user database meanwhile",
            "full synchronisation: 1 users synchronised, 0 failed, 0 repaired, 0 s",
        ],
    )


def test_who_is_listed_still_and_is_not_found_fails(run):
    """Dovecot says the same of an entry that it cannot use, as of one with a wrong uid."""
    node = Node({"alice": [], "bob": [""]})
    node.fields["alice"] = 67, ""
    status, lines = run(node)
    assert status == 1
    assert lines[0].startswith("failed: alice: the user database lists this user, but does not find them")


def test_of_a_list_that_is_cut_the_part_is_synchronised_and_the_catch_up_fails(run):
    node = Node({"alice": [""], "bob": [""]})
    node.listing_status = 75
    status, lines = run(node)
    assert status == 1
    assert lines[0].startswith("incomplete: doveadm user '*' lists 2 users and fails") and "size limit" in lines[0]
    assert lines[1:] == ["full synchronisation: 2 users synchronised, 0 failed, 0 repaired, 0 s"]


def test_who_is_not_in_a_list_that_is_cut_is_not_said_to_be_gone(run):
    node = Node({"alice": [], "bob": [""]})
    node.fields["alice"], node.listing, node.listing_status = (67, ""), [["alice", "bob"], ["bob"]], 75
    assert any(line.startswith("failed: alice") for line in run(node)[1])


def test_each_user_is_one_of_the_two_nodes_affair(program):
    is_mine = [program.CatchUp(settings(program, share)).is_mine for share in (0, 1)]
    assert {tuple(mine(f"user{number}") for mine in is_mine) for number in range(20)} == {(True, False), (False, True)}
