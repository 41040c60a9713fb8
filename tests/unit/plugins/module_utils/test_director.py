"""The director's backends: what is told to the ring, and above all what is not."""

from __future__ import annotations

import json

import pytest

from ansible_collections.mailcluster.dovecot.plugins.module_utils import _director
from ansible_collections.mailcluster.dovecot.plugins.module_utils._doveadm import (
    Doveadm,
    DoveadmError,
    NotRunning,
    OutputError,
    RingNotSynced,
)
from ansible_collections.mailcluster.dovecot.plugins.modules.director_backends import converge


def live(tag="a", weight=100, state="up", users=0):
    return {"tag": tag, "weight": weight, "state": state, "users": users}


def wanted(tag="a", weight=100):
    return {"tag": tag, "weight": weight}


A1, A2, B1 = "198.51.100.31", "198.51.100.32", "198.51.100.41"


def test_nothing_is_told_when_the_ring_is_as_declared():
    assert _director.plan({A1: wanted()}, {A1: live(users=5)}, exclusive=True) == []


def test_a_missing_backend_is_added_with_tag_and_weight():
    assert _director.plan({A1: wanted(weight=50)}, {}) == [["add", f"{A1}@a", 50]]


def test_a_backend_without_tag_is_added_without():
    assert _director.plan({A1: wanted(tag="")}, {}) == [["add", A1, 100]]


def test_a_different_weight_is_updated():
    assert _director.plan({A1: wanted(weight=50)}, {A1: live()}) == [["update", A1, 50]]


@pytest.mark.parametrize("kept", [live(weight=0), live(state="down"), live(state="down", weight=70)])
def test_what_an_operator_drained_or_took_down_stays(kept):
    assert _director.plan({A1: wanted()}, {A1: kept}, exclusive=True) == []


def test_a_new_tag_is_remove_and_add():
    assert _director.plan({A1: wanted(tag="b")}, {A1: live(tag="a")}) == [["remove", A1], ["add", f"{A1}@b", 100]]


def test_a_drained_and_down_backend_stays_so_with_its_new_tag():
    assert _director.plan({A1: wanted(tag="b")}, {A1: live(weight=0, state="down")}) == [
        ["remove", A1], ["add", f"{A1}@b", 0], ["down", A1]]


def test_others_are_removed_only_when_the_list_is_exclusive():
    current = {A1: live(), B1: live(tag="b")}
    assert _director.plan({A1: wanted()}, current) == []
    assert _director.plan({A1: wanted()}, current, exclusive=True) == [["remove", B1]]


def test_the_forecast_of_a_plan_is_the_declared_state():
    desired = {A1: wanted(), A2: wanted(weight=30)}
    current = {A2: live(tag="b"), B1: live()}
    after = _director.apply_plan(_director.plan(desired, current, exclusive=True), current, desired)
    assert {host: (b["tag"], b["weight"]) for host, b in after.items()} == {A1: ("a", 100), A2: ("a", 30)}


@pytest.mark.parametrize("rows", [[{}], [{"mail server ip": A1, "tag": "a", "vhosts": "many", "state": "up"}]])
def test_output_that_is_not_understood_is_a_typed_error(rows):
    with pytest.raises(OutputError):
        _director.parse_backends(rows)


class Scripted:
    """Answers calls in their order, and fails on an unexpected or a missing one."""

    def __init__(self, *calls):
        self.calls = list(calls)
        self.now = 0.0

    def __call__(self, argv):
        assert self.calls, f"unexpected call: {argv}"
        expected, answer = self.calls.pop(0)
        assert argv == ["doveadm", *expected.split()]
        return answer if isinstance(answer, tuple) else (0, json.dumps(answer), "")

    def doveadm(self):
        return Doveadm(self, clock=lambda: self.now, sleep=self._sleep)

    def _sleep(self, seconds):
        self.now += seconds


RING = "-f json director ring status"
STATUS = "-f json director status"
SYNCED = [{"director ip": "198.51.100.21", "type": "self", "status": "ring synced"},
          {"director ip": "198.51.100.22", "type": "l/r", "status": "handshaked"}]
SYNCING = [{"director ip": "198.51.100.21", "type": "self", "status": "ring handshaking"}]
ROW_A1 = {"mail server ip": A1, "tag": "a", "vhosts": "100", "state": "up", "state-changed": "-", "users": "3"}


def params(**given):
    return {"backends": [{"host": A1, "tag": "a", "weight": 100}], "exclusive": False, "timeout": 60, **given}


def test_the_list_is_read_once_the_ring_is_in_sync():
    script = Scripted((RING, SYNCING), (RING, SYNCED), (STATUS, [ROW_A1]))
    result = converge(script.doveadm(), params(), check_mode=False)
    assert not result["changed"] and not script.calls


@pytest.mark.parametrize("check_mode", [True, False])
def test_only_what_differs_is_written_and_nothing_in_check_mode(check_mode):
    writes = [] if check_mode else [(f"director add {A2}@a 40", (0, "", ""))]
    script = Scripted((RING, SYNCED), (STATUS, [ROW_A1]), *writes)
    backends = [{"host": A1, "tag": "a", "weight": 100}, {"host": A2, "tag": "a", "weight": 40}]
    result = converge(script.doveadm(), params(backends=backends), check_mode)
    assert result["changed"] and not script.calls
    assert result["diff"]["after"] == f"{A1} tag=a weight=100 up\n{A2} tag=a weight=40 up\n"


def test_a_ring_that_never_agrees_is_named():
    script = Scripted(*[(RING, SYNCING)] * 400)
    with pytest.raises(RingNotSynced, match="198.51.100.21 ring handshaking"):
        converge(script.doveadm(), params(), check_mode=False)
    assert script.now == pytest.approx(60, abs=1)


def test_a_director_that_is_not_running_is_told_apart():
    fatal = (75, "", "doveadm(root): Fatal: net_connect_unix(/run/dovecot/director-admin) failed: No such file\n")
    with pytest.raises(NotRunning, match="is Dovecot running"):
        converge(Scripted((RING, fatal)).doveadm(), params(), check_mode=False)


def test_a_refused_write_carries_what_doveadm_said():
    script = Scripted((RING, SYNCED), (STATUS, []), (f"director add {A1}@a 100", (75, "", "vhosts too large\n")))
    with pytest.raises(DoveadmError, match="vhosts too large") as error:
        converge(script.doveadm(), params(), check_mode=False)
    assert error.value.rc == 75


def test_output_that_is_no_json_is_a_typed_error():
    with pytest.raises(OutputError, match="printed no JSON"):
        converge(Scripted((RING, (0, "oops", ""))).doveadm(), params(), check_mode=False)
