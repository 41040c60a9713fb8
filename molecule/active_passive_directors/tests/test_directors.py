"""Directors know each pair by its service address, and what happens to one pair does not concern the other."""

from __future__ import annotations

import re

import pytest
from active_passive import under_load
from clients import eventually
from failover import BOUND
from faults import hang_bmc, resume_bmc

# What a machine has that was installed a moment ago: no state, no configuration, an empty device.
FORGET = """
systemctl disable --now pacemaker corosync mailcluster-dovecot-drbd && rm -r /var/lib/mailcluster-dovecot /var/lib/pacemaker/cib/*
rm -rf /var/lib/corosync/* /etc/corosync/* /etc/drbd.d/mail.res /etc/dovecot/mailcluster.d /etc/mailcluster-dovecot
rm -f /etc/systemd/system/mailcluster-dovecot-* && systemctl daemon-reload
wipefs --quiet --all /dev/lab/mail && dd if=/dev/zero of=/dev/lab/mail bs=1M status=none; sync
"""
ADDRESSES = {"a": "198.51.100.30", "b": "198.51.100.40"}


@pytest.fixture
def pair(pairs):
    """The one to which things happen."""
    for whole in pairs.values():
        whole.await_whole()
    return pairs["a"]


@pytest.fixture
def load(pair, clients, users):
    with under_load(pair, clients, users["a"][:2]) as load:
        yield load
        pair.await_whole()


@pytest.fixture
def elsewhere(pairs, clients, users):
    """Meanwhile, mail of the other pair comes and is read without a break."""
    with under_load(pairs["b"], clients, users["b"][:2]) as load:
        yield load
    assert not load.outages


def test_the_ring_has_the_service_address_of_each_pair_and_no_node_s_own(nodes):
    for director in nodes.of("dovecot_directors"):
        rows = director.doveadm("director", "status")
        assert {row["mail server ip"]: row["tag"] for row in rows} == {address: tag for tag, address in ADDRESSES.items()}


def test_each_user_is_sent_to_the_pair_of_the_partition(nodes, users, clients, pairs):
    for partition, names in users.items():
        message_id = clients.deliver(names[0])
        active = pairs[partition].active()
        assert active.run("doveadm search -u %s mailbox INBOX header message-id %s", names[0], message_id)


def test_verify_finds_nothing_wrong(pair, ansible):
    done = ansible("verify.yml")
    assert done.returncode == 0, done.stdout[-3000:]


def test_users_of_a_node_that_dies_are_served_by_its_partner(pair, load, elsewhere, lab_node, nodes):
    old = pair.active()
    lab_node.kill(old)
    eventually(lambda: pair.active() is pair.other(old), BOUND, "the other node to serve", interval=2)
    lab_node.killed.remove(old)
    eventually(lambda: up(nodes), BOUND, "a ring in which the pair is up", interval=2)


def test_one_pair_of_several_is_switched_over(pair, pairs, load, elsewhere, ansible):
    old, other = pair.active(), pairs["b"].active()
    asked = ansible("switch_over.yml")
    assert asked.returncode != 0 and "dovecot_switch_partition" in asked.stdout
    done = ansible("switch_over.yml", "-e", "dovecot_switch_partition=a")
    assert done.returncode == 0, done.stdout[-3000:]
    assert pair.active() is pair.other(old) and pairs["b"].active() is other


def test_a_bmc_that_does_not_answer_is_named_before_it_is_needed(pairs, ansible):
    active = pairs["b"].await_whole()
    passive = pairs["b"].other(active)
    hang_bmc(passive)
    try:
        eventually(lambda: silent(active, passive), BOUND, "a fence device that Pacemaker counts as failed", interval=5)
        told = ansible("verify.yml")
        assert told.returncode != 0
        assert f"the fence device fence-{passive.name} does not answer" in told.stdout
    finally:
        resume_bmc(passive)
        active.run("crm_resource --cleanup --quiet")
    pairs["b"].await_whole()


def test_a_dead_node_is_replaced_by_an_empty_machine(pairs, clients, users, ansible):
    pair, user = pairs["b"], users["b"][0]
    active = pair.await_whole()
    message_id = clients.deliver(user)
    passive = pair.other(active)
    passive.run(FORGET)
    done = ansible("site.yml")
    assert done.returncode == 0, done.stdout[-3000:]
    assert pair.await_whole() is active
    # It has the mail: the other node may leave now.
    done = ansible("switch_over.yml", "-e", "dovecot_switch_partition=b")
    assert done.returncode == 0, done.stdout[-3000:]
    assert pair.active() is passive and clients.has(user, message_id)


def silent(active, passive):
    return not re.search(rf"fence-{passive.name}\s.*Started", active.run("crm_mon --one-shot --inactive"))


def up(nodes):
    return all(row["state"] == "up" for row in nodes.of("dovecot_directors")[0].doveadm("director", "status"))
