"""A user moves to another backend while everything goes on, whichever database has the home."""

from __future__ import annotations

import json

import pytest
from moves import assert_moved, move


@pytest.mark.first
def test_a_user_of_the_directory_moves_under_load(clients, nodes, ansible):
    user = "carol@example.org"
    assert_moved(clients, nodes, ansible, user, "b1", "c", clients.vip)
    done = move(ansible, user, "b", "-e", "dovecot_move_confirmed=true")
    assert done.returncode == 0, done.stdout[-3000:]


@pytest.fixture
def elsewhere(lab, tmp_path):
    """The inventory's word that postmaster lives in another partition, as arguments for a playbook."""
    hash_ = "{SHA512-CRYPT}$6$saltsalt$" + 86 * "x"
    extra = tmp_path / "users.json"
    extra.write_text(json.dumps({"dovecot_users": [{"name": "postmaster@example.org", "partition": "b", "password": hash_}]}))
    return "-e", f"@{extra}"


def test_a_user_of_the_inventory_moves_once_that_says_so(clients, nodes, ansible, elsewhere):
    user = "postmaster@example.org"
    refused = move(ansible, user, "b")
    assert refused.returncode != 0 and "is still in partition a" in " ".join(refused.stdout.split())
    message_id = clients.deliver(user)
    done = move(ansible, user, "b", *elsewhere)
    assert done.returncode == 0, done.stdout[-3000:]
    assert message_id.strip("<>") in nodes["b1"].run("doveadm fetch -u %s hdr.message-id ALL", user)
    done = move(ansible, user, "a", "-e", "dovecot_move_confirmed=true")
    assert done.returncode == 0, done.stdout[-3000:]
    assert clients.has(user, message_id)
