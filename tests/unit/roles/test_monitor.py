"""The directors' monitor: when a backend is taken out of the ring, and when it is put back."""

from __future__ import annotations

from pathlib import Path

import jinja2
import pytest

TEMPLATE = Path(__file__).resolve().parents[3] / "roles/director/templates/monitor.py.j2"
A1, A2, B1 = "a1", "a2", "b1"


@pytest.fixture(scope="module")
def decide():
    source = jinja2.Template(TEMPLATE.read_text()).render(
        ansible_managed="", dovecot_director_monitor_interval=2, dovecot_director_monitor_timeout=3,
        dovecot_director_monitor_fall=3, dovecot_director_monitor_rise=3, dovecot_ports={"imap": 143})
    namespace = {"__name__": "monitor"}
    exec(compile(source, str(TEMPLATE), "exec"), namespace)
    return namespace["decide"]


ALL_UP = {A1: ("a", True), A2: ("a", True), B1: ("b", True)}
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
    assert decide({**ALL_UP, A2: ("a", False)}, {**HEALTHY, A1: -9}, set()) == []


def test_what_the_monitor_took_out_is_put_back_after_three_successes(decide):
    down = {**ALL_UP, A1: ("a", False)}
    assert decide(down, {**HEALTHY, A1: 2}, {A1}) == []
    assert decide(down, {**HEALTHY, A1: 3}, {A1}) == [("up", A1)]


def test_what_an_operator_took_out_stays_out(decide):
    assert decide({**ALL_UP, A1: ("a", False)}, {**HEALTHY, A1: 99}, set()) == []
