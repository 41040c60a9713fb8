"""A pair whose partner is away, and users who stay where they are, through the modules."""

from __future__ import annotations

import json
import subprocess

import pytest
from clients import eventually
from fixtures import CHECKOUT


@pytest.fixture
def partner_away(nodes):
    """The partner of a1 is down; afterwards it is up, and nothing is left failed."""
    nodes["a2"].run("systemctl stop dovecot")
    yield
    nodes["a2"].run("systemctl start dovecot")
    for node in nodes.pair_of("a"):
        eventually(lambda node=node: node.run("doveadm replicator replicate '*'"), 30, f"the replicator of {node.name}")


def test_users_who_cannot_be_synchronised_are_named(partner_away, nodes, module, users):
    told = module(nodes["a1"], "replicator_user", user="*", state="synchronised", max_age=0, wait=True, timeout=60)
    assert told["error"] == "sync_failed", told
    assert told["failed_users"] == sorted(users["a"])
    assert users["a"][0] in told["msg"] and "Is the partner up" in told["msg"]
    assert module(nodes["a1"], "replicator_info")["failed_users"] == sorted(users["a"])


def test_the_queue_empties_once_the_partner_is_back(nodes, module, users, clients, replicated):
    one, other = nodes.pair_of("a")
    other.run("systemctl stop dovecot")
    message_id = clients.deliver(users["a"][1], host=one.address)
    failed = module(one, "replicator_user", user="*", state="synchronised", max_age=0, wait=True)
    assert failed["error"] == "sync_failed"
    other.run("systemctl start dovecot")

    # the watch on the partner queues them too: whoever comes first
    done = module(one, "replicator_user", user="*", state="synchronised", wait=True, timeout=120)

    assert done.get("failed_users") == [], done
    info = module(one, "replicator_info")
    assert (info["queued"], info["failed_users"], info["connections"]) == (0, [], [])
    assert module(one, "replicator_user", user="*", state="synchronised", wait=True)["changed"] is False
    replicated(users["a"][1], "a", message_id)


STAYS = {"name": "stays@example.org", "partition": "a", "password": "{SHA512-CRYPT}$6$saltsalt$" + 86 * "x", "noreplicate": True}


@pytest.fixture
def one_who_stays(nodes, ansible, lab, tmp_path):
    """One more user, with noreplicate."""
    listed = [{"name": user["name"], "partition": user["partition"], "password": STAYS["password"]} for user in lab["users"]]
    extra = tmp_path / "users.json"
    extra.write_text(json.dumps({"dovecot_users": [*listed, STAYS]}))
    done = ansible("site.yml", "--extra-vars", f"@{extra}")
    assert done.returncode == 0, done.stdout
    yield STAYS["name"]
    for node in nodes.pair_of("a"):
        node.run("doveadm replicator remove %s || true", STAYS["name"])
    done = ansible("site.yml")
    assert done.returncode == 0, done.stdout


def test_a_user_with_noreplicate_stays_on_his_node(one_who_stays, nodes, clients, module):
    one, other = nodes.pair_of("a")
    message_id = clients.deliver(one_who_stays, host=one.address)
    search = ("doveadm search -u %s mailbox INBOX header message-id %s", one_who_stays, message_id)
    assert one.run(*search)
    # the night's full pass leaves him out, and does not end in a panic
    for node in (one, other):
        assert " 0 failed" in node.run("/usr/local/libexec/mailcluster-dovecot/catchup --now")
    assert not other.host.run(*search).stdout

    assert module(one, "replicator_user", user=one_who_stays, state="absent").get("returns") == []


def test_the_lab_itself_is_judged_by_the_modules(lab, nodes, module, users):
    """What ./lab status tells comes from them: a failed user makes it fail, and is named."""
    nodes["b2"].run("systemctl stop dovecot")
    try:
        module(nodes["b1"], "replicator_user", user="*", state="synchronised", max_age=0, wait=True)
        status = subprocess.run([CHECKOUT / "lab", "status"], capture_output=True, text=True, check=False)
        assert status.returncode == 1
        assert "dovecot stopped" in status.stdout and f"{len(users['b'])} failed (erin@example.org" in status.stdout
    finally:
        nodes["b2"].run("systemctl start dovecot")
        module(nodes["b1"], "replicator_user", user="*", state="synchronised", max_age=0, wait=True)
