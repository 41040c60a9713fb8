"""The nightly catch-up: what it tells of users who need a second try."""

from __future__ import annotations

import json
from pathlib import Path

import jinja2
import pytest

TEMPLATE = Path(__file__).resolve().parents[3] / "roles/replication/templates/catchup.py.j2"


@pytest.fixture
def program():
    environment = jinja2.Environment()
    environment.filters.update(to_json=json.dumps, split=str.split)
    source = environment.from_string(TEMPLATE.read_text()).render(
        ansible_managed="", inventory_hostname="mail1", dovecot_doveadm_port=12345, dovecot_replication_transport="tcp",
        dovecot_replication_catchup_spread=0, dovecot_replication_dsync_parameters="-d -N",
        __dovecot_self={"partition": "pair"}, __dovecot_partner={"address": "198.51.100.32"},
        __dovecot_topology={"partitions": {"pair": ["mail1", "mail2"]}})
    namespace = {"__name__": "catchup"}
    exec(compile(source, str(TEMPLATE), "exec"), namespace)
    return namespace


def run(program, monkeypatch, capsys, attempts):
    """Exit status and lines, where I(attempts) has what each try of a user comes to."""
    monkeypatch.setattr("sys.argv", ["catchup", "--now"])
    monkeypatch.setitem(program, "users", lambda: sorted(attempts))
    monkeypatch.setitem(program, "repair", lambda user: attempts[user].pop(0))
    return program["main"](), capsys.readouterr().out.splitlines()


def test_who_is_repaired_at_the_second_try_is_named(program, monkeypatch, capsys):
    status, lines = run(program, monkeypatch, capsys, {"alice": [("", False)], "bob": [("no route", False), ("", True)]})
    assert status == 0
    assert lines == ["repaired: bob", "full synchronisation: 2 users synchronised, 0 failed, 1 repaired, 0 s"]


def test_who_fails_twice_is_named_with_the_reason(program, monkeypatch, capsys):
    status, lines = run(program, monkeypatch, capsys, {"alice": [("", True)], "bob": [("no route", False)] * 2})
    assert status == 1
    assert lines == ["repaired: alice", "failed: bob: no route",
                     "full synchronisation: 1 users synchronised, 1 failed, 1 repaired, 0 s"]
