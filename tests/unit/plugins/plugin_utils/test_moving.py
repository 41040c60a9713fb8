"""Where a user who is moved comes from, also when an earlier move was interrupted, and what is refused."""

from __future__ import annotations

import pytest

from ansible_collections.mailcluster.dovecot.plugins.plugin_utils._moving import move_obstacles, move_way

TOPOLOGY = {
    "proxies": ["proxy1"],
    "backends": ["a1", "b1", "c1"],
    "partitions": {"a": ["a1"], "b": ["b1"], "c": ["c1"]},
    "nodes": {name: {"address": f"192.0.2.{number}", "roles": ["backend"]} for number, name in enumerate(["a1", "b1", "c1"], 31)},
}
REACHED = ["proxy1", "a1", "b1", "c1"]
HOME = "/var/vmail/example.org/alice"
FROM, TO = "alice@example.org::::from:::", "alice@example.org::::to:::"


def request(**changed):
    given = {"topology": TOPOLOGY, "user": "alice@example.org", "to": "b", "reached": REACHED, **changed}
    return move_obstacles(**given)


def way(knowing=("a1",), **found):
    return move_way(TOPOLOGY, "Alice@example.org", "b", list(knowing), {"a1": [], "b1": [], "c1": [], **found}, HOME)


def test_a_cluster_with_active_passive_pairs_is_refused():
    nodes = {**TOPOLOGY["nodes"], "b1": {"address": "192.0.2.32", "roles": ["backend", "active_passive"]}}
    assert "dovecot_active_passive: b1" in request(topology={**TOPOLOGY, "nodes": nodes})[0]


def test_a_request_that_can_be_fulfilled_has_no_obstacle():
    assert request() == []
    assert request(users=[{"name": "Alice@example.org", "partition": "b"}, {"name": "bob@example.org"}]) == []


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"topology": {**TOPOLOGY, "proxies": []}}, "dovecot_proxies: the cluster has no proxies"),
        ({"user": ""}, "dovecot_move_user: not set"),
        ({"user": "*@example.org"}, "dovecot_move_user: *@example.org is no single user"),
        (
            {"to": ""},
            "dovecot_move_to: (not set) is no partition, nothing was changed: give -e dovecot_move_to= with one of a, b, c",
        ),
        ({"to": "z"}, "dovecot_move_to: z is no partition"),
        ({"reached": ["a1", "b1"]}, "c1, proxy1: not reached"),
        (
            {"users": [{"name": "alice@example.org", "partition": "a"}]},
            "is still in partition a, nothing was changed: write b there",
        ),
    ],
)
def test_each_obstacle_of_the_request_is_told(changed, words):
    (sentence,) = request(**changed)
    assert words in sentence and "nothing was changed" in sentence


def test_a_user_goes_from_where_the_database_says():
    found = way(a1=["mail"])
    assert found["obstacles"] == []
    assert (found["user"], found["home"]) == ("alice@example.org", "/var/vmail/example.org/alice")
    assert (found["sources"], found["target"], found["target_address"]) == (["a1"], "b1", "192.0.2.32")


def test_a_user_who_is_there_already_goes_nowhere():
    assert way(["b1"], b1=["mail"])["sources"] == []


def test_when_the_database_was_changed_by_hand_the_user_comes_from_where_the_mail_is():
    assert way(["b1"], a1=["mail"])["sources"] == ["a1"]


def test_a_move_that_was_interrupted_goes_on_whatever_the_database_says():
    found = way(["b1"], a1=["mail", FROM], b1=["mail", TO])
    assert (found["sources"], found["begun"], found["obstacles"]) == (["a1"], ["a1", "b1"], [])


def test_a_move_to_another_place_that_was_begun_is_undone_first():
    found = move_way(TOPOLOGY, "alice@example.org", "a", ["a1"], {"a1": [FROM], "b1": ["mail", TO], "c1": []}, HOME)
    assert found["sources"] == []


@pytest.mark.parametrize(
    ("knowing", "found", "words"),
    [
        ([], {}, "no backend knows alice@example.org"),
        (["b1"], {"a1": ["mail"], "c1": ["mail"]}, "the mail of alice@example.org is on a1 and c1"),
        (["a1"], {"a1": ["bob@example.org::::from:::"]}, "bob@example.org is being moved"),
    ],
)
def test_each_conflict_is_told(knowing, found, words):
    (sentence,) = way(knowing, **found)["obstacles"]
    assert words in sentence and "nothing was changed" in sentence
