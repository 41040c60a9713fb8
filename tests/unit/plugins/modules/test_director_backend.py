"""A drain of director_backend that knows how many sessions the backend has; all else is in the recorded cases."""

from __future__ import annotations

import json

import pytest

from ansible_collections.mailcluster.dovecot.plugins.module_utils._director_backend import DrainTimedOut, converge
from ansible_collections.mailcluster.dovecot.plugins.module_utils._doveadm import Doveadm

HOST, PARTNER = "198.51.100.31", "198.51.100.32"


class Ring:
    """A director with two backends, and one user who is assigned to the first."""

    def __init__(self):
        self.now = 0.0
        self.weight = 100
        self.users = [{"user": "alice@example.org", "hash": "1", "mail server ip": HOST, "expire time": "0"}]
        self.told = []

    def __call__(self, argv, _seconds):
        words = argv[argv.index("director") + 1 :]
        if words[0] == "ring":
            rows = [
                {"director ip": "198.51.100.21", "port": "9090", "type": "self", "last failed": "never", "status": "ring synced"}
            ]
        elif words[0] == "status":
            rows = [
                {"mail server ip": host, "tag": "a", "vhosts": str(weight), "state": "up", "state changed": "-", "users": users}
                for host, weight, users in ((HOST, self.weight, str(len(self.users))), (PARTNER, 100, "0"))
            ]
        elif words[0] == "map":
            rows = self.users
        else:
            self.told.append(words)
            self.weight = 0
            self.users = [] if words[0] == "flush" else self.users
            return 0, "", ""
        return 0, json.dumps(rows), ""

    def sleep(self, seconds):
        self.now += seconds


@pytest.fixture
def drain(tmp_path):
    """A function: drains the backend, which has the given numbers of sessions, one after the other."""

    def run(sessions, **params):
        ring = Ring()
        defaults = {
            "host": HOST,
            "state": "drained",
            "tag": None,
            "weight": None,
            "drain_timeout": 60,
            "flush": "none",
            "force": False,
            "socket_path": None,
            "state_dir": str(tmp_path),
        }
        remaining = list(sessions)

        def found(_doveadm, _host):
            return remaining.pop(0) if len(remaining) > 1 else remaining[0]

        return ring, lambda: converge(Doveadm(ring, 60, lambda: ring.now, ring.sleep), dict(defaults, **params), False, found)

    return run


def test_nobody_is_waited_for_who_has_no_session_and_nobody_comes_back(drain):
    ring, go = drain([0])
    result = go()
    assert ring.now == 0
    assert ring.told == [["update", HOST, "0"], ["flush", HOST]]
    assert (result["flushed"], result["former_weight"]) == (1, 100)


def test_it_ends_with_the_last_session(drain):
    ring, go = drain([2, 1, 1, 0])
    assert go()["flushed"] == 1
    assert ring.now == 3


def test_sessions_that_stay_are_told_and_nobody_is_flushed(drain):
    ring, go = drain([2], drain_timeout=10)
    with pytest.raises(DrainTimedOut, match="2 of its sessions are still on 198.51.100.31") as error:
        go()
    found = error.value.details()
    assert (found["error"], found["remaining"], found["counted"]) == ("timed_out", 2, "sessions")
    assert found["commands"] == ring.told == [["update", HOST, "0"]]


def test_sessions_that_stay_are_kicked_when_that_was_asked_for(drain):
    ring, go = drain(11 * [3] + 2 * [3] + [1, 0], drain_timeout=10, flush="kick")
    result = go()
    assert (result["flushed"], result["ended"]) == (1, 3)
    assert ring.now == 10 + 2 * 0.5, "until nobody is there, in half seconds"


def test_sessions_that_a_kick_has_not_ended_are_not_counted(drain):
    ring, go = drain([3, 3, 3, 1], drain_timeout=1, flush="kick")
    assert go()["ended"] == 2
    assert ring.now == 1 + 5
