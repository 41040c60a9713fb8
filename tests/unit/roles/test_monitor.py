"""The directors' monitor: when a backend is taken out of the ring, and when it is put back."""

from __future__ import annotations

import socket
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest
from programs import program as load

A1, A2, B1 = "a1", "a2", "b1"
SETTINGS = {
    "interval": 1,
    "timeout": 2,
    "fall": 3,
    "rise": 3,
    "hold": 60,
    "hold_timeout": 8,
    "port": 11143,
    "greeting": "* OK",
    "farewell": "a LOGOUT",
    "agent_port": 12346,
    "sessions": [143, 110, 4190],
    "deliveries": [24],
}


MONITOR = load("director", "monitor")
Backend = MONITOR.Backend


@pytest.fixture(scope="module")
def monitor():
    return MONITOR


@pytest.fixture(scope="module")
def rules():
    return rules_with()


def rules_with(**settings):
    return MONITOR.Rules(MONITOR.Settings(**{**SETTINGS, **settings}))


@pytest.fixture
def decide(rules):
    return rules.decide


ALL_UP = {A1: Backend("a", True), A2: Backend("a", True), B1: Backend("b", True)}
HEALTHY = {A1: 9, A2: 9, B1: 9}


def test_healthy_backends_are_left_alone(decide):
    assert decide(ALL_UP, HEALTHY, set()) == []


def test_a_backend_is_taken_out_after_three_failures_not_before(decide):
    assert decide(ALL_UP, {**HEALTHY, A1: -2}, set()) == []
    assert decide(ALL_UP, {**HEALTHY, A1: -3}, set()) == [("down", A1)]


def test_the_last_backend_of_a_partition_is_never_taken_out(decide):
    assert decide(ALL_UP, {**HEALTHY, B1: -50}, set()) == []


def test_a_partition_that_does_not_answer_at_all_is_left_alone(decide):
    assert decide(ALL_UP, {A1: -9, A2: -9, B1: 9}, set()) == []


def test_a_partner_that_an_operator_took_out_does_not_count(decide):
    assert decide({**ALL_UP, A2: Backend("a", False)}, {**HEALTHY, A1: -9}, set()) == []


def test_what_the_monitor_took_out_is_put_back_after_three_successes(decide):
    down = {**ALL_UP, A1: Backend("a", False)}
    assert decide(down, {**HEALTHY, A1: 2}, {A1}) == []
    assert decide(down, {**HEALTHY, A1: 3}, {A1}) == [("up", A1)]


def test_what_an_operator_took_out_stays_out(decide):
    assert decide({**ALL_UP, A1: Backend("a", False)}, {**HEALTHY, A1: 99}, set()) == []


def test_when_a_backend_goes_out_the_others_of_its_partition_get_its_users(monitor):
    after = {**ALL_UP, A1: Backend("a", False)}
    assert monitor.receivers(ALL_UP, after) == {A2}


def test_when_a_backend_is_removed_the_others_of_its_partition_get_its_users(monitor):
    assert monitor.receivers(ALL_UP, {A2: Backend("a", True), B1: Backend("b", True)}) == {A2}


def test_nobody_gets_users_while_nothing_changes_or_a_backend_comes_back(monitor):
    down = {**ALL_UP, A1: Backend("a", False)}
    assert monitor.receivers({}, ALL_UP) == set()
    assert monitor.receivers(down, down) == set()
    assert monitor.receivers(down, ALL_UP) == set()


def test_a_silent_backend_has_failed_unless_it_may_be_slow(monitor, rules):
    assert rules.count(5, monitor.SILENT, False) == -1
    assert rules.count(-1, monitor.SILENT, False) == -2


def test_a_backend_that_may_be_slow_has_more_time_and_is_out_when_that_is_over(monitor, rules):
    assert rules.count(5, monitor.SILENT, True) == -3
    assert rules.count(-9, monitor.SILENT, True) == -9


def test_a_backend_that_may_be_slow_and_is_dead_has_failed(monitor, rules):
    assert rules.count(-2, monitor.DEAD, True) == -3


@pytest.fixture
def checks(monitor, monkeypatch):
    """Checks of backends that say what they are told to, or nothing until then."""
    told = {host: Event() for host in ALL_UP}

    def check(_self, host, patience):
        return monitor.GREETS if told[host].wait(patience) else monitor.SILENT

    monkeypatch.setattr(monitor.Checks, "check", check)
    with ThreadPoolExecutor() as pool:
        yield monitor.Checks(rules_with(timeout=0.1, hold_timeout=0.5), pool), told


def test_while_a_backend_has_time_for_its_greeting_the_others_are_looked_at(checks, monitor, rules):
    look, told = checks
    told[A1].set(), told[B1].set()
    streaks = dict(HEALTHY)
    seen = look.look(ALL_UP, {A2}, streaks)
    assert set(seen) == {A1, B1} and streaks == {A1: 10, A2: 0, B1: 10}
    assert rules.decide(ALL_UP, {**streaks, A1: -9}, set()) == [], "the users of another went to one that says nothing yet"
    told[A2].set()
    assert look.look(ALL_UP, {A2}, streaks)[A2] == monitor.GREETS and streaks[A2] == 1


def test_a_backend_that_hangs_right_after_it_got_users_is_taken_out_when_its_time_is_over(checks, rules):
    look, told = checks
    told[A1].set(), told[B1].set()
    streaks, rounds = dict(HEALTHY), 0
    while rules.decide(ALL_UP, streaks, set()) != [("down", A2)]:
        look.look(ALL_UP, {A2}, streaks)
        rounds += 1
        assert rounds < 10
    assert rounds > 3, "it had no more time than others"


def checks_at(monitor, port):
    return monitor.Checks(rules_with(port=port), None)


@pytest.mark.parametrize("said, seen", [(b"* OK Dovecot ready.\r\n", "greets"), (b"", "silent"), (b"* BYE\r\n", "dead")])
def test_what_a_check_sees_of_a_backend_that_takes_connections(monitor, said, seen):
    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor() as pool:
        checked = pool.submit(checks_at(monitor, server.getsockname()[1]).check, "127.0.0.1", 0.5)
        connection, _address = server.accept()
        with connection:
            connection.sendall(said)
            assert checked.result() == seen


def test_what_a_check_sees_where_nobody_listens(monitor):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert checks_at(monitor, port).check("127.0.0.1", 0.5) == "dead"


def test_a_delivery_to_a_backend_that_is_gone_ends_and_a_session_once_the_backend_is_out(monitor, rules):
    deliveries, sessions = [24], [143, 110, 4190]
    assert dict(rules.gone(ALL_UP, {**HEALTHY, A1: -2}, {})) == {}
    assert dict(rules.gone(ALL_UP, {**HEALTHY, A1: -3}, {})) == {A1: deliveries}
    out = {**ALL_UP, A1: Backend("a", False)}
    assert dict(rules.gone(out, {**HEALTHY, A1: -3}, {A1: monitor.DEAD})) == {A1: deliveries + sessions}


LISTED = """username\tproto\tsrc ip\tdest ip\tport
alice\timap\t192.0.2.7\ta1\t143
username\tservice\tsrc-ip\tdest-ip\tdest-port
bob\tpop3\t192.0.2.7\ta2\t110
"""


def test_sessions_are_read_though_each_process_repeats_the_header(monitor):
    assert monitor.read_sessions(LISTED) == {("alice", "a1"), ("bob", "a2")}
    assert monitor.read_sessions("") == set()


def test_a_session_strays_when_the_ring_sends_its_user_elsewhere(monitor):
    assert monitor.find_strays({("alice", "a1"), ("bob", "a2")}, {"alice": "a2", "bob": "a2"}, ALL_UP) == {("alice", "a1")}


def test_of_a_user_whom_the_ring_does_not_know_a_session_strays_at_a_backend_that_takes_nobody(monitor):
    sessions = {("alice", "a1"), ("bob", "a2")}
    assert monitor.find_strays(sessions, {}, ALL_UP) == set()
    assert monitor.find_strays(sessions, {}, {**ALL_UP, A1: Backend("a", False)}) == {("alice", "a1")}


def test_who_is_assigned_to_a_backend_that_was_taken_down_without_a_flush_stays(monitor):
    assert monitor.find_strays({("alice", "a1")}, {"alice": "a1"}, {**ALL_UP, A1: Backend("a", False)}) == set()


def test_a_backend_without_room_is_taken_out_and_its_connections_are_left_to_the_flush(monitor, rules):
    assert rules.count(0, monitor.FULL, False) == -1
    assert rules.decide(ALL_UP, {**HEALTHY, A1: -3}, set()) == [("down", A1)]
    assert dict(rules.gone(ALL_UP, {**HEALTHY, A1: -3}, {A1: monitor.FULL})) == {}


def test_when_neither_has_room_both_stay(rules):
    assert rules.decide(ALL_UP, {A1: -9, A2: -9, B1: 9}, set()) == []
