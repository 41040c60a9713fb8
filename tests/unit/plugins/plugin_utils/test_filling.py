"""A node is filled with the mail of its partner, and never the other way round."""

from __future__ import annotations

import pytest

from ansible_collections.mailcluster.dovecot.plugins.plugin_utils._filling import fill_obstacles

TOPOLOGY = {
    "nodes": {
        "mail1": {"name": "mail1", "partner": "mail2"},
        "mail2": {"name": "mail2", "partner": "mail1"},
        "lb1": {"name": "lb1", "partner": None},
    }
}
SERVES = {"inactive_units": [], "has_mail": True, "filling": ""}
EMPTY = {"inactive_units": ["dovecot.service"], "has_mail": False, "filling": ""}


def obstacles(new="mail2", anyway="", **given):
    facts = {name: node for name, node in {"mail1": SERVES, "mail2": EMPTY, **given}.items() if node}
    return fill_obstacles(TOPOLOGY, new, facts, anyway)


def test_an_empty_node_may_be_filled_from_one_that_serves():
    assert obstacles() == []


def test_what_was_begun_goes_on():
    assert obstacles(mail2={"inactive_units": [], "has_mail": True, "filling": "filling"}) == []


@pytest.mark.parametrize("new", ["", "lb1", "mail7"])
def test_a_node_that_is_none_of_a_pair(new):
    (sentence,) = obstacles(new)
    assert sentence == (
        f"dovecot_new_node: {new or '(not set)'} is no node of a replicated pair, nothing was changed: give -e "
        "dovecot_new_node=NAME with one of mail1, mail2"
    )


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"mail2": None}, "dovecot_new_node: mail2 was not reached"),
        ({"mail1": None}, "mail1, which has the mail for mail2, was not reached"),
        (
            {"mail1": {**SERVES, "inactive_units": ["dovecot.service"]}},
            "mail1, which should have the mail for mail2, does not run Dovecot",
        ),
        ({"mail1": {**SERVES, "has_mail": False}}, "is mail1 the empty one?"),
        ({"mail1": {**SERVES, "filling": "filling"}}, "mail1 is being filled itself"),
        ({"mail2": {**EMPTY, "inactive_units": []}}, "mail2 is not dead: it runs Dovecot"),
        ({"mail2": {**EMPTY, "has_mail": True}}, "mail2 is not empty: there are files in /var/vmail"),
    ],
)
def test_each_obstacle_is_told_and_that_nothing_was_changed(given, words):
    (sentence,) = obstacles(**given)
    assert words in sentence and "nothing was changed" in sentence


def test_all_of_them_are_told_at_once():
    assert len(obstacles(mail1=EMPTY, mail2=SERVES)) == 4


def test_by_its_name_a_node_that_is_alive_and_has_mail_is_merged():
    assert obstacles(mail2=SERVES, anyway="mail2") == []
    assert len(obstacles(mail2=SERVES, anyway="mail1")) == 2
