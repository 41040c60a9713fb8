"""How a node's answers become a row of the table."""

from __future__ import annotations

from pathlib import Path

from labtool import status
from labtool.inventory import Cluster, Node, User
from labtool.status import Answer
from labtool.table import render

DIRECTOR = Node("director1", "198.51.100.21", ("dovecot_directors",), None, "container")
BACKEND = Node("a1", "198.51.100.31", ("dovecot_backends", "dovecot_replicated"), "a", "container")
BALANCER = Node("lb1", "198.51.100.11", ("dovecot_loadbalancers",), None, "container")
CLUSTER = Cluster("test", Path("hosts.yml"), (BALANCER, DIRECTOR, BACKEND), None, "198.51.100.10", ())


def test_a_dead_node_is_unreachable():
    assert status.judge(CLUSTER, BACKEND, Answer(reached=False), {}) == ("unreachable", False)


def test_a_stopped_service_is_named():
    answer = Answer(True, node={"idle_units": ["keepalived.service"]})
    assert status.judge(CLUSTER, BALANCER, answer, {}) == ("keepalived stopped", False)


def test_who_holds_the_vip():
    for holds, words in ((True, "holds the VIP"), (False, "standby")):
        answer = Answer(True, node={"idle_units": [], "holds_vip": holds})
        assert status.judge(CLUSTER, BALANCER, answer, {}) == (words, True)


def test_a_pair_without_load_balancers_holds_the_vip_itself():
    cluster = Cluster("test", Path("hosts.yml"), (BACKEND,), None, "198.51.100.10", ())
    quiet = {"queued": 0, "failed_users": [], "lagging_users": []}
    answer = Answer(True, node={"idle_units": [], "holds_vip": True}, replicator=quiet)
    assert status.judge(cluster, BACKEND, answer, {}) == ("holds the VIP, replication: 0 queued, 0 failed", True)
    assert "keepalived" in status.services_of(cluster, BACKEND)


def test_where_pacemaker_decides_which_node_is_active_it_must_run_and_dovecot_need_not():
    node = Node("mail1", "198.51.100.31", ("dovecot_active_passive", "dovecot_backends"), None, "vm")
    cluster = Cluster("test", Path("/test/hosts.yml"), (node,), None, "198.51.100.10", ())
    assert status.services_of(cluster, node) == ["corosync", "pacemaker"]
    drbd = {"connection": "Connected", "disk": "UpToDate"}
    idle = Answer(True, node={"idle_units": [], "holds_vip": False}, pair={"active": "mail2", "drbd": drbd, "problems": []})
    assert status.judge(cluster, node, idle, {}) == ("passive, DRBD Connected, UpToDate", True)
    ill = Answer(True, node=idle.node, pair={"active": None, "drbd": None, "problems": ["no node serves"]})
    assert status.judge(cluster, node, ill, {}) == ("passive, no node serves", False)


def test_only_what_is_served_has_ports_and_tells_how_to_log_in(monkeypatch):
    cluster = Cluster("test", Path("/test/hosts.yml"), (BALANCER,), None, "198.51.100.10", (User("zoe", None),), ("pop3", "lmtp"))
    monkeypatch.setattr(status.users, "password_of", lambda _cluster, _user: "secret")
    assert status.describe(cluster)["ports"] == {"pop3": 110, "pop3s": 995, "lmtp": 24}
    assert list(status.describe(CLUSTER)["ports"]) == ["imap", "imaps", "pop3", "pop3s", "lmtp", "sieve"]
    lines = status.how_to_log_in(cluster).splitlines()
    assert "-connect 198.51.100.10:995 " in lines[1]
    assert [line.strip() for line in lines[2:4]] == ["USER zoe", "PASS secret"]


def test_ring():
    for synced, words in ((True, "ring synced"), (False, "ring handshaking")):
        answer = Answer(True, node={"idle_units": []}, director={"ring": {"synced": synced, "status": words}})
        assert status.judge(CLUSTER, DIRECTOR, answer, {}) == (words, synced)


def test_a_director_whose_ring_gave_no_answer_is_not_well():
    answer = Answer(True, node={"idle_units": []})
    assert status.judge(CLUSTER, DIRECTOR, answer, {}) == ("no answer from the ring", False)


def test_the_first_director_that_answers_tells_of_the_backends():
    backends = {
        "198.51.100.31": {"users": 3, "state": "up", "weight": 100},
        "198.51.100.32": {"users": 1, "state": "down", "weight": 100},
        "198.51.100.41": {"users": 0, "state": "up", "weight": 0},
    }
    answers = {"lb1": Answer(True), "director1": Answer(False), "director2": Answer(True, director={"backends": backends})}
    assert status.assignments(answers) == {
        "198.51.100.31": "3 users",
        "198.51.100.32": "1 user, down at the directors",
        "198.51.100.41": "0 users, drained",
    }


def test_replication():
    def judged(replicator, assigned):
        return status.judge(CLUSTER, BACKEND, Answer(True, node={"idle_units": []}, replicator=replicator), assigned)

    def told(failed=(), lagging=()):
        return {"queued": 3, "failed_users": list(failed), "lagging_users": list(lagging)}

    assert judged(told(), {"198.51.100.31": "1 user"}) == ("1 user, replication: 3 queued, 0 failed", True)
    assert judged(told(failed=["alice"]), {}) == ("replication: 3 queued, 1 failed (alice)", False)
    assert judged(told(lagging=["bob"]), {}) == ("replication: 3 queued, 0 failed, 1 lagging (bob)", False)
    assert judged({}, {}) == ("no answer from the replicator", False)


def test_a_failed_or_skipped_module_told_nothing():
    results = [{"idle_units": []}, {"skipped": True}, {"failed": True, "msg": "no"}]
    assert status.understand(results) == Answer(True, node={"idle_units": []})


def test_an_unreachable_node_is_told_by_any_of_its_results():
    assert not status.understand([{"unreachable": True, "msg": "no route"}, {"skipped": True}, {"skipped": True}]).reached


def test_columns_are_aligned():
    assert render([("A", "LONGER"), ("first", "x")]) == "A      LONGER\nfirst  x"


def test_the_nodes_of_a_pair_are_compared_and_a_partner_that_gives_no_answer_is_not():
    partner = Node("a2", "198.51.100.32", BACKEND.groups, "a", "container")
    elsewhere = Node("b1", "198.51.100.41", BACKEND.groups, "b", "container")
    cluster = Cluster("test", Path("hosts.yml"), (BACKEND, partner, elsewhere), None, "198.51.100.10", ())
    answers = {
        "a1": Answer(True, mail={"digests": {"alice": "1", "bob": "1"}}),
        "a2": Answer(True, mail={"digests": {"alice": "1", "bob": "2"}}),
        "b1": Answer(True, mail={"digests": {"alice": "3"}}),
    }
    assert status.differences(cluster, answers) == {"a1": "mail differs from a2: bob", "a2": "mail differs from a1: bob"}
    assert status.differences(cluster, {**answers, "a2": Answer(False)}) == {}


def test_a_backend_whose_disk_is_nearly_full_is_not_well():
    space = {"free": 3 << 30, "total": 9 << 30, "reserve": 1 << 30, "low": False, "full_on": "2027-08-14"}
    node = Node("b1", "198.51.100.41", ("dovecot_backends",), "b", "container")
    for low, words in ((False, "3.0 GiB free, full on 2027-08-14"), (True, "takes no mail (3.0 GiB free, full on 2027-08-14)")):
        answer = Answer(True, node={"idle_units": [], "space": {**space, "low": low}})
        assert status.judge(CLUSTER, node, answer, {}) == (words, not low)
