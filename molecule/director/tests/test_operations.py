"""What an operator does on a bad day, through the modules."""

from __future__ import annotations

import imaplib
import json

import pytest
from clients import eventually, must

A1, A2 = "198.51.100.31", "198.51.100.32"
ALICE = "alice@example.org"


@pytest.fixture
def healed(lab_is_whole, lab_node, nodes):
    """Afterwards the ring is as the inventory declares it, and whole."""
    yield
    for node in list(lab_node.killed):
        lab_node.start(node)
    for host in (A1, A2):
        nodes["director1"].run("doveadm director update %s 100", host)
        nodes["director1"].run("doveadm director up %s", host)
    eventually(lab_is_whole, 60, "a whole cluster", interval=1)


def is_cut(session):
    try:
        must(session.noop())
        return False
    except (OSError, imaplib.IMAP4.error):
        return True


def home_of(director, user):
    return director.doveadm("director", "status", user, "a")[0]["status"]


def test_a_drain_while_sessions_are_open(nodes, module, clients, healed):
    """They go on until the time is over; only a kick ends them, and the next login goes to the partner."""
    director = nodes["director1"]
    module(director, "director_user", user=ALICE, backend=A1)
    session = clients.connect_imap(ALICE)
    must(session.select("INBOX"))

    waited = module(director, "director_backend", host=A1, state="drained", drain_timeout=3)
    assert (waited["error"], waited["changed"]) == ("timed_out", True), waited
    assert "1 of its sessions are still on" in waited["msg"]
    assert not is_cut(session), "a drain that may not kick cut a session"

    kicked = module(director, "director_backend", host=A1, state="drained", drain_timeout=1, flush="kick")
    assert (kicked["changed"], kicked["flushed"], kicked["ended"]) == (True, 1, 1), kicked
    eventually(lambda: is_cut(session), 10, "the end of the session")
    clients.connect_imap(ALICE).logout()
    assert home_of(director, ALICE) == A2

    back = module(director, "director_backend", host=A1)
    assert back["backend"]["weight"] == 100, "up gives the weight back"


def test_the_last_backend_of_a_partition_is_not_drained(nodes, module, healed):
    director = nodes["director2"]
    module(director, "director_backend", host=A2, state="drained", drain_timeout=0)
    for state in ("drained", "down", "absent"):
        refused = module(director, "director_backend", host=A1, state=state)
        assert (refused["error"], refused["changed"]) == ("not_allowed", False), refused
        assert "last backend with the tag 'a'" in refused["msg"]
    assert module(director, "director_backend", host=A2)["backend"]["weight"] == 100


def test_a_kick_ends_the_sessions_at_all_directors(nodes, module, clients, healed):
    sessions = [clients.connect_imap(ALICE, host=nodes[name].address) for name in ("director1", "director2")]
    kicked = module(nodes["director1"], "director_user", user=ALICE, kick=True)
    assert kicked["changed"] is True
    assert [session["service"] for session in kicked["sessions"]] == ["imap"]
    assert kicked["ended"] == 2, "of both directors"
    for session in sessions:
        eventually(lambda session=session: is_cut(session), 10, "the end of the session")
    assert module(nodes["director1"], "director_user", user=ALICE, kick=True)["changed"] is False


def test_a_change_while_a_director_dies(nodes, module, lab_node, healed):
    """The ring agrees again without it, and until then the call waits."""
    lab_node.kill(nodes["director3"])
    changed = module(nodes["director1"], "director_backend", host=A1, weight=60)
    assert changed.get("changed") is True, changed
    weights = {row["mail server ip"]: row["vhosts"] for row in nodes["director2"].doveadm("director", "status")}
    assert weights[A1] == "60"
    lab_node.start(nodes["director3"])
    # it takes the ring's list over its own file's
    found = eventually(lambda: agreed(module(nodes["director3"], "director_info", timeout=30)), 60, "the ring with it")
    assert found["backends"][A1]["weight"] == 60


def agreed(info):
    return info if info.get("ring", {}).get("synced") else None


def test_a_dead_director_is_taken_out_of_the_ring_and_put_back(nodes, module, healed):
    director, other = nodes["director1"], nodes["director3"]
    refused = module(director, "director_ring", host=other.address, state="absent")
    assert (refused["error"], refused["changed"]) == ("not_allowed", False), refused
    other.run("systemctl stop dovecot")
    for expected in (True, False):
        if expected:
            assert module(director, "director_ring", check=True, host=other.address, state="absent")["changed"] is True
        removed = module(director, "director_ring", host=other.address, state="absent")
        assert removed.get("changed") is expected, removed
    other.run("systemctl start dovecot")
    # the ring does not take it back by itself
    for expected in (True, False):
        assert module(director, "director_ring", host=other.address).get("changed") is expected
    info = eventually(lambda: agreed(module(other, "director_info", timeout=20)), 60, "the director in the ring")
    assert len(info["ring"]["directors"]) == 3 and all(
        connection["status"] == "synced" for member in info["ring"]["directors"] for connection in member["connections"]
    )


def test_a_ring_that_does_not_agree_is_told(nodes, module, healed):
    """The others hang: this director can agree with nobody, and nothing is changed."""
    try:
        for name in ("director2", "director3"):
            nodes[name].run("pkill -STOP -x director")
        nodes["director1"].run("systemctl restart dovecot")
        told = module(nodes["director1"], "director_backend", host=A1, weight=10, timeout=15)
        assert (told["error"], told["changed"]) == ("ring_not_synced", False), told
        # it tries one of them for ten seconds, then the other
        assert any(nodes[name].address in told["msg"] for name in ("director2", "director3")), told["msg"]
    finally:
        for name in ("director2", "director3"):
            nodes[name].run("pkill -CONT -x director")


def test_a_node_without_director_says_so(nodes, module):
    told = module(nodes["a1"], "director_info")
    assert told["error"] == "not_running" and "run it on another node" in told["msg"]


@pytest.fixture
def deputy(nodes):
    """An account on director1 that may become root, but is not."""
    node = nodes["director1"]
    node.run("apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends sudo")
    node.run("useradd --create-home deputy && cp -a /root/.ssh /home/deputy/ && chown -R deputy /home/deputy/.ssh")
    node.run("echo 'deputy ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/deputy")
    yield ["--extra-vars", "ansible_user=deputy"]
    node.run("rm /etc/sudoers.d/deputy; userdel --force --remove deputy")


def test_an_ordinary_account_needs_become(deputy, module):
    refused = module("director1", "director_info", options=deputy)
    assert refused["error"] == "not_permitted" and "become: true" in refused["msg"]
    assert module("director1", "director_info", options=[*deputy, "--become"])["ring"]["synced"]


def test_defaults_for_the_whole_group(lab, tmp_path, ansible):
    playbook = tmp_path / "defaults.yml"
    playbook.write_text(
        json.dumps(
            [
                {
                    "hosts": "director1",
                    "gather_facts": False,
                    "module_defaults": {"group/mailcluster.dovecot.director": {"socket_path": "/nonexistent/socket"}},
                    "tasks": [{"mailcluster.dovecot.director_info": {}}],
                }
            ]
        )
    )
    done = ansible(playbook)
    assert "net_connect_unix(/nonexistent/socket) failed" in done.stdout + done.stderr
