"""The conservative settings: two nodes used at once by the same user. They are left so."""

from __future__ import annotations

import pytest
from clients import eventually
from storage import STALE_LOG, assert_same_mail, empty, no_mailbox_broken, unmount, work_at_once
from topologies import inventory

MINUTES = 1


@pytest.fixture(scope="module")
def both(nodes, lab, ansible, tmp_path_factory):
    backends = nodes.of("dovecot_backends")
    unmount(*backends)
    hosts = inventory(lab, tmp_path_factory.mktemp("simple") / "inventory", variant="shared_storage_simple")
    done = ansible("site.yml", "--inventory", hosts)
    assert done.returncode == 0, done.stdout[-3000:]
    return backends


def test_the_settings_are_the_conservative_ones(both):
    for node in both:
        told = node.run("doveconf -h mail_nfs_index mail_nfs_storage mmap_disable mail_fsync mail_cache_min_mail_count").split()
        assert told == ["yes", "yes", "yes", "always", "4294967295"]
        options = node.run("findmnt --noheadings --output OPTIONS /var/vmail").strip().split(",")
        assert {"hard", "acregmin=0", "acdirmax=0", "lookupcache=none"} <= set(options)


def test_what_comes_in_at_one_node_is_seen_at_the_other(both, clients):
    for user in sorted(clients.passwords):
        for one, other in (both, both[::-1]):
            message_id = clients.deliver(user, host=one.address)
            eventually(
                lambda user=user, other=other, message_id=message_id: clients.has(user, message_id, host=other.address),
                10,
                f"the message on {other.name}",
            )


def test_two_nodes_used_at_once_by_the_same_user_lose_nothing(both, clients):
    user = sorted(clients.passwords)[0]
    empty(clients, user, both[0].address)
    with no_mailbox_broken(both, but=STALE_LOG):
        workers = work_at_once(clients, user, both, 60 * MINUTES)
        assert_same_mail(clients, user, both, workers)
    assert all(len(worker.added) > 4 and worker.changes for worker in workers), "too little was done"
    assert sum(len(worker.expunged) for worker in workers) > 2, "too little was expunged"
