"""A user comes and goes by a run for the users alone, which leaves everything else as it is."""

from __future__ import annotations

import imaplib
import re

import pytest
from clients import eventually, unverified
from passlib.hash import sha512_crypt
from topologies import inventory

NEW, PASSWORD = "newcomer@example.org", "come-in-and-stay"
# Another setting, that such a run must not bring along.
ELSE = '{"dovecot_settings": {"imap_idle_notify_interval": "3 mins"}}'


@pytest.fixture
def with_newcomer(lab, tmp_path):
    """The inventory with one user more."""
    hosts = inventory(lab, tmp_path / "inventory")
    users = hosts.parent / "group_vars/dovecot_cluster/users.yml"
    hashed = sha512_crypt.hash(PASSWORD, rounds=5000)
    users.write_text(users.read_text() + f'  - name: {NEW}\n    password: "{{SHA512-CRYPT}}{hashed}"\n')
    return hosts


def logs_in(clients, node):
    connection = imaplib.IMAP4_SSL(node.address, clients.ports["imaps"], ssl_context=unverified(), timeout=20)
    try:
        connection.login(NEW, PASSWORD)
        return True
    except imaplib.IMAP4.error:
        return False
    finally:
        connection.shutdown()


def test_a_user_comes_and_goes_and_nothing_else_changes(with_newcomer, nodes, clients, ansible):
    pair = nodes["mail1"], nodes["mail2"]
    before = [node.run("doveconf imap_idle_notify_interval") for node in pair]
    try:
        done = ansible("site.yml", "--inventory", with_newcomer, "--tags", "users", "-e", ELSE)
        assert done.returncode == 0, done.stdout[-3000:]
        for node in pair:
            eventually(lambda node=node: logs_in(clients, node), 20, f"a login of {NEW} at {node.name}")
        assert [node.run("doveconf imap_idle_notify_interval") for node in pair] == before
    finally:
        done = ansible("site.yml", "--tags", "users")
    assert done.returncode == 0, done.stdout[-3000:]
    for node in pair:
        eventually(lambda node=node: not logs_in(clients, node), 20, f"the refusal of {NEW} at {node.name}")
    again = ansible("site.yml", "--tags", "users")
    assert again.returncode == 0 and not re.search("changed=[1-9]", again.stdout), "a second run changes something"
