"""The director's backends: what is told to the ring, and above all what is not."""

from __future__ import annotations

import pytest

from ansible_collections.mailcluster.dovecot.plugins.module_utils import _director
from ansible_collections.mailcluster.dovecot.plugins.module_utils._director_client import Director
from ansible_collections.mailcluster.dovecot.plugins.module_utils._doveadm import Doveadm, NotAllowed, RingNotSynced


def live(tag="a", weight=100, state="up", users=0):
    return {"tag": tag, "weight": weight, "state": state, "users": users}


def wanted(tag="a", weight=100, state="up"):
    return {"tag": tag, "weight": weight, "state": state}


A1, A2, B1 = "198.51.100.31", "198.51.100.32", "198.51.100.41"


def test_nothing_is_told_when_the_ring_is_as_declared():
    assert _director.plan({A1: wanted()}, {A1: live(users=5)}, exclusive=True) == []


def test_a_backend_without_tag_is_added_without():
    assert _director.plan({A1: wanted(tag="")}, {}) == [["add", A1, 100]]


@pytest.mark.parametrize("kept", [live(weight=0), live(state="down"), live(state="down", weight=70)])
def test_what_an_operator_drained_or_took_down_stays_unless_told(kept):
    assert _director.plan({A1: wanted()}, {A1: kept}, exclusive=True) == []
    assert _director.plan({A1: wanted()}, {A1: kept}, restore=True) != []


def test_a_drained_and_down_backend_stays_so_with_its_new_tag_unless_told():
    current = {A1: live(weight=0, state="down")}
    assert _director.plan({A1: wanted(tag="b")}, current) == [["remove", A1], ["add", f"{A1}@b", 0], ["down", A1]]
    assert _director.plan({A1: wanted(tag="b")}, current, restore=True) == [["remove", A1], ["add", f"{A1}@b", 100]]


@pytest.mark.parametrize("restore", [True, False])
def test_the_forecast_of_a_plan_is_the_declared_state(restore):
    desired = {A1: wanted(), A2: wanted(weight=30, state="down")}
    current = {A2: live(tag="b"), B1: live()}
    after = _director.apply_plan(_director.plan(desired, current, True, restore), current)
    assert {host: (b["tag"], b["weight"], b["state"]) for host, b in after.items()} == {
        A1: ("a", 100, "up"),
        A2: ("a", 30, "down"),
    }


def test_what_is_declared_as_it_was_left_is_not_reported_as_kept():
    assert _director.kept({A1: wanted(weight=0), A2: wanted()}, {A1: live(weight=0), A2: live(weight=0)}) == [A2]


def test_a_live_list_as_variables_restores_itself():
    current = {A1: live(weight=0), A2: live(state="down"), B1: live(tag="", weight=7)}
    desired = {item["host"]: item for item in _director.as_variables(current)}
    assert _director.plan(desired, current, exclusive=True, restore=True) == []
    after = _director.apply_plan(_director.plan(desired, {}, True, True), {})
    assert after == current


def test_the_last_backend_of_a_tag_is_protected():
    one_left = {A1: live(), A2: live(weight=0), B1: live(tag="b")}
    with pytest.raises(NotAllowed, match=f"{A1} is the last backend with the tag 'a'"):
        _director.refuse_to_empty(one_left, {**one_left, A1: live(state="down")})
    _director.refuse_to_empty({A1: live(weight=0)}, {})  # nobody was served before either


def test_addresses_ranges_and_names_of_the_configuration():
    text = "198.51.100.31@a 198.51.100.41-198.51.100.43@b 2001:db8::1 my-host@c"
    assert _director.parse_configured(text, lambda name: f"address of {name}") == {
        A1: "a",
        B1: "b",
        "198.51.100.42": "b",
        "198.51.100.43": "b",
        "2001:db8::1": "",
        "address of my-host": "c",
    }


class Moody:
    """A ring whose director says what the test wants it to; times pass by sleeping only."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.now = 0.0
        self.told = []

    def __call__(self, argv, _seconds):
        if argv[1:3] == ["-f", "json"]:
            return (
                0,
                ('[{"director ip":"198.51.100.21","port":"9090","type":"self","last failed":"never","status":"ring synced"}]'),
                "",
            )
        self.told.append(argv)
        return self.answers.pop(0)

    def sleep(self, seconds):
        self.now += seconds

    def director(self):
        return Director(Doveadm(self, 60, lambda: self.now, self.sleep))


OK = (0, "", "")
# The sentence is of Dovecot's source: two tellers at the same moment could not be made to meet on real nodes.
BUSY = (75, "", f"Error: {A1}: host is already being updated - try again later\n")
NO_RING = (75, "", f"Error: {A1}: Ring sync timed out\n")
GONE = (68, "", f"Error: {A1}: doesn't exist\n")


@pytest.mark.parametrize("hindrance", [BUSY, NO_RING])
def test_a_write_is_tried_again_when_something_else_was_in_its_way(hindrance):
    moody = Moody(hindrance, hindrance, OK)
    moody.director().tell(["update", A1, 50])
    assert moody.told == [["doveadm", "director", "update", A1, "50"]] * 3


def test_a_removal_that_was_done_in_spite_of_the_ring_is_done():
    Moody(NO_RING, GONE).director().tell(["remove", A1])


def test_a_ring_that_never_agrees_ends_a_write():
    moody = Moody(*[NO_RING] * 1000)
    with pytest.raises(RingNotSynced, match="Is every director of the ring running"):
        moody.director().tell(["update", A1, 50])
    assert moody.now == pytest.approx(60, abs=1)
