"""How a node's answers become a row of the table."""

from __future__ import annotations

import json
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from labtool import status
from labtool.inventory import Cluster, Node
from labtool.status import MARK, Answer
from labtool.table import render

DIRECTOR = Node("director1", "198.51.100.21", ("dovecot_directors",), None, "container")
BACKEND = Node("a1", "198.51.100.31", ("dovecot_backends", "dovecot_replicated"), "a", "container")
BALANCER = Node("lb1", "198.51.100.11", ("dovecot_loadbalancers",), None, "container")
CLUSTER = Cluster("test", Path("hosts.yml"), (), None, "198.51.100.10", ())


def answer(services, **texts):
    return Answer({name: json.dumps(rows) for name, rows in texts.items()}, services)


def test_a_dead_node_is_unreachable():
    assert status.judge(CLUSTER, BACKEND, Answer(None), {}) == ("unreachable", False)


def test_a_stopped_service_is_named():
    text = f"{MARK}unit haproxy\nactive\n{MARK}unit keepalived\ninactive\n"
    assert status.judge(CLUSTER, BALANCER, status.understand(text), {}) == ("keepalived stopped", False)


def test_who_holds_the_vip():
    held = answer({"haproxy": "active"}, addresses=[{"addr_info": [{"local": "198.51.100.10"}]}])
    assert status.judge(CLUSTER, BALANCER, held, {}) == ("holds the VIP", True)
    assert status.judge(CLUSTER, BALANCER, answer({}, addresses=[]), {}) == ("standby", True)


def test_ring():
    rows = [{"type": "right", "status": "ring handshaking"}, {"type": "self", "status": "ring synced"}]
    assert status.judge(CLUSTER, DIRECTOR, answer({"dovecot": "active"}, ring=rows), {}) == ("ring synced", True)
    assert status.judge(CLUSTER, DIRECTOR, answer({"dovecot": "active"}, ring=[]), {})[1] is False


def test_the_first_director_that_answers_tells_of_the_backends():
    rows = [
        {"mail server ip": "198.51.100.31", "users": "3", "state": "up", "vhosts": "100"},
        {"mail server ip": "198.51.100.32", "users": "1", "state": "down", "vhosts": "100"},
        {"mail server ip": "198.51.100.41", "users": "0", "state": "up", "vhosts": "0"},
    ]
    answers = {"lb1": Answer({}), "director1": Answer(None), "director2": answer({}, director=rows)}
    assert status.assignments(answers) == {
        "198.51.100.31": "3 users",
        "198.51.100.32": "1 user, down at the directors",
        "198.51.100.41": "0 users, drained",
    }


def test_replication():
    summary = [
        {"field": "Queued 'sync' requests", "value": "2"},
        {"field": "Queued 'full resync' requests", "value": "1"},
        {"field": "Waiting 'failed' requests", "value": "7"},
    ]
    texts = {"replication": json.dumps(summary), "replicated users": json.dumps([{"username": "alice", "failed": "-"}])}
    assert status.judge(CLUSTER, BACKEND, Answer(texts, {}), {"198.51.100.31": "1 user"}) == (
        "1 user, replication: 3 queued, 0 failed",
        True,
    )
    texts["replicated users"] = json.dumps([{"username": "alice", "failed": "y"}])
    assert status.judge(CLUSTER, BACKEND, Answer(texts, {}), {}) == ("replication: 3 queued, 1 failed (alice)", False)
    assert status.judge(CLUSTER, BACKEND, Answer({}, {}), {}) == ("no answer from the replicator", False)


@given(st.text())
def test_nonsense_from_a_node_is_no_crash(text):
    for node in (DIRECTOR, BACKEND, BALANCER):
        status.judge(CLUSTER, node, status.understand(f"{MARK}ring\n{text}\n{MARK}replication\n{text}"), {})


def test_columns_are_aligned():
    assert render([("A", "LONGER"), ("first", "x")]) == "A      LONGER\nfirst  x"
