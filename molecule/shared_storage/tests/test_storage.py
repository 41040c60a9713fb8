"""Behind directors: mail in and out, one backend a user, and what happens when a backend or the file server dies."""

from __future__ import annotations

import re
import time
from contextlib import contextmanager

import pytest
from clients import eventually
from pairs import Load, assert_nothing_lost
from storage import MOUNT, UNFINISHED_SAVE, boxes_of, home_of, no_mailbox_broken


@pytest.fixture
def users(clients):
    return sorted(clients.passwords)


@pytest.fixture
def backends(nodes, lab_is_whole):
    eventually(lab_is_whole, 90, "a whole cluster", interval=2)
    return nodes.of("dovecot_backends")


@pytest.fixture
def boxes(users, clients, lab_is_whole):
    """A function that reads all mailboxes through the VIP as soon as the cluster is whole again."""

    def read():
        eventually(lab_is_whole, 90, "a whole cluster", interval=2)
        return boxes_of(clients, users)

    return read


def sessions(backends, user):
    return [node.name for node in backends if user in node.run("doveadm who -1 %s 2>/dev/null || true", user)]


def test_mail_goes_in_and_out_through_the_vip(users, clients, backends):
    with no_mailbox_broken(backends):
        for user in users:
            message_id = clients.deliver(user)
            assert clients.has(user, message_id)


def test_a_user_is_always_on_the_same_backend(users, clients, backends):
    for user in users:
        found = set()
        for _time in range(4):
            with clients.imap(user), clients.imap(user):
                found.update(sessions(backends, user))
        assert len(found) == 1, f"{user} was on {sorted(found)} at once"


def test_both_backends_have_users(users, clients, backends):
    with_mail = {}
    for user in users:
        with clients.imap(user):
            with_mail[user] = sessions(backends, user)
    assert len({name for names in with_mail.values() for name in names}) == 2, with_mail


def test_all_is_on_the_export_and_locked_away_from_others(nodes, backends):
    server = nodes["nfs1"]
    for node in backends:
        assert f"{server.address}:/srv/mail" in node.run("findmnt --noheadings --output SOURCE,OPTIONS /var/vmail")
    exported = server.run("exportfs -s")
    assert all(f" {node.address}(" in exported for node in backends) and "*(" not in exported, exported
    assert server.run("cat /proc/fs/nfsd/versions").split() == ["-3", "+4", "-4.0", "-4.1", "+4.2"]


def test_without_its_storage_dovecot_neither_runs_nor_writes(backends, clients, users):
    node = backends[0]
    node.run(f"systemctl stop {MOUNT}")
    try:
        eventually(lambda: node.host.run("systemctl is-active dovecot").stdout.strip() == "inactive", 20, "the end of Dovecot")
        assert node.host.run("setpriv --reuid=5000 --regid=5000 --clear-groups touch /var/vmail/x").rc != 0
        node.run(
            "nft 'add table inet gone; add chain inet gone out { type filter hook output priority 0; }; "
            "add rule inet gone out tcp dport 2049 reject'"
        )
        assert node.host.run("systemctl start dovecot").rc != 0, "Dovecot runs without its storage"
    finally:
        node.run("nft delete table inet gone")
    # nobody has to do anything when the server is reached again
    eventually(lambda: node.host.run("systemctl is-active dovecot").stdout.strip() == "active", 90, "Dovecot's return")
    assert node.run("findmnt --noheadings --output FSTYPE /var/vmail").strip() == "nfs4"


def test_the_mount_takes_no_port_of_dovecot(backends):
    """The kernel chooses one of its own at random, now among two of which Dovecot must have the upper."""
    node = backends[0]
    node.run("systemctl stop dovecot mailcluster-dovecot-mount-point")
    node.run("sysctl -w sunrpc.min_resvport=992 sunrpc.max_resvport=993")
    try:
        node.run("systemctl start dovecot")
        assert node.run("cat /proc/sys/sunrpc/max_resvport").strip() == "992"
        assert re.search(r":992\s+198.51.100.71:2049", node.run("ss --numeric --tcp dst 198.51.100.71"))
    finally:
        node.run("sysctl -w sunrpc.min_resvport=665 && systemctl start dovecot")


def test_when_a_backend_dies_under_deliveries_its_users_go_on_at_the_other(users, clients, boxes, nodes, backends, lab_node):
    clients.deliver(users[0])
    victim = home_of(users[0], nodes)
    survivors = [node for node in backends if node is not victim]
    with no_mailbox_broken(survivors, but=UNFINISHED_SAVE), Load(clients, users) as load:
        time.sleep(8)
        lab_node.kill(victim)
        taken = len(load.delivered[users[0]])
        eventually(lambda: len(load.delivered[users[0]]) > taken + 1 and load.outages, 60, "deliveries to the other backend")
        time.sleep(5)
    lab_node.start(victim)
    assert max(load.outages) < 45, f"users waited for {max(load.outages):.0f} s"
    assert_nothing_lost(load, boxes())


def test_nothing_is_lost_when_the_nfs_server_restarts_under_load(users, clients, boxes, nodes, backends):
    with no_mailbox_broken(backends), under_load(clients, users, boxes):
        nodes["nfs1"].run("systemctl restart nfs-server")


def test_nothing_is_lost_when_the_nfs_server_loses_its_power_under_load(users, clients, boxes, nodes, backends, lab_node):
    with no_mailbox_broken(backends, but=UNFINISHED_SAVE), under_load(clients, users, boxes):
        lab_node.kill(nodes["nfs1"])
        lab_node.start(nodes["nfs1"])


@contextmanager
def under_load(clients, users, boxes):
    """What is done to the file server is done amid deliveries; they go on afterwards, and all are there in the end."""
    with Load(clients, users) as load:
        time.sleep(5)
        yield
        taken = {user: len(load.delivered[user]) for user in users}
        eventually(
            lambda: all(len(load.delivered[user]) > taken[user] for user in users),
            90,
            "deliveries to all after the server's return",
            interval=1,
        )
    assert_nothing_lost(load, boxes())


def test_the_storage_is_proven_again_after_all_this(backends, ansible):
    done = ansible("verify.yml")
    assert done.returncode == 0, done.stdout[-3000:]
