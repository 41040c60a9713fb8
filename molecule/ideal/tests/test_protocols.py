"""POP3 and ManageSieve are left out on all tiers of a running cluster, and come back."""

from __future__ import annotations

import json
import re

import pytest
from clients import eventually, must

LEFT_OUT = {"pop3": 110, "pop3s": 995, "sieve": 4190}
# At the VIP and for clients, for the load balancers, for health checks.
PORTS = {*LEFT_OUT.values(), 10110, 10995, 14190, 11110, 11995, 11190}
STILL_THERE = {143, 993, 24}


@pytest.fixture(scope="module")
def session(clients, users):
    """Of somebody who notices nothing."""
    with clients.imap(users["a"][0]) as connection:
        yield connection


@pytest.fixture(scope="module")
def everything(ansible):
    """Deploys all protocols again, once."""
    deployed = []

    def deploy():
        if not deployed:
            deployed.append(ansible("site.yml"))
            assert deployed[0].returncode == 0, deployed[0].stdout[-3000:]

    return deploy


@pytest.fixture(scope="module")
def without(ansible, session, everything):
    """The cluster, while it has IMAP alone."""
    wanted = ["-e", json.dumps({"dovecot_protocols": ["imap", "lmtp"]})]
    done = ansible("site.yml", *wanted)
    try:
        assert done.returncode == 0, done.stdout[-3000:]
        yield wanted
    finally:
        everything()


def listening(node):
    return {int(port) for port in re.findall(r":(\d+) ", node.run("ss -ltnH"))}


def with_rules(node):
    """Ports that the firewall has rules for."""
    chain = node.run("nft list chain inet mailcluster_dovecot input")
    return {int(port) for ports in re.findall(r"dport (\{.*?\}|\d+)", chain) for port in re.findall(r"\d+", ports)}


def test_nobody_listens_and_no_rule_is_left(without, nodes):
    for node in nodes.of("dovecot_cluster"):
        assert STILL_THERE <= listening(node), node.name
        assert not PORTS & listening(node), f"{node.name} listens on {PORTS & listening(node)}"
        assert not PORTS & with_rules(node), f"{node.name} has rules for {PORTS & with_rules(node)}"


def test_neither_dovecot_nor_haproxy_knows_it(without, nodes):
    for node in nodes.of("dovecot_directors") + nodes.of("dovecot_backends"):
        assert node.run("doveconf -h protocols").split() == ["imap", "lmtp"]
        eventually(
            lambda node=node: node.host.run("pgrep -f '^dovecot/(pop3|managesieve)'").rc == 1, 10, f"their end on {node.name}"
        )
    for node in nodes.of("dovecot_loadbalancers"):
        assert not re.search(r"pop3|sieve", node.run("cat /etc/haproxy/haproxy.cfg"))


def test_all_else_works_and_is_proven(without, ansible, session, clients, users, lab_is_whole):
    must(session.noop())
    user = users["b"][0]
    assert clients.has(user, clients.deliver(user))
    done = ansible("verify.yml", *without)
    assert done.returncode == 0, done.stdout[-3000:]
    lab_is_whole()


def test_a_second_run_changes_nothing(without, ansible):
    done = ansible("site.yml", *without)
    assert done.returncode == 0 and not re.search(r"changed=[1-9]", done.stdout), done.stdout[-3000:]


def test_afterwards_all_is_served_again(without, everything, clients, users, session):
    """The last test of the module."""
    everything()
    user = users["a"][0]
    eventually(lambda: clients.pop3s().quit(), 30, "POP3S at the VIP")
    eventually(lambda: clients.sieve(user).close() or True, 30, "ManageSieve at the VIP")
    must(session.noop())
