"""OCFS2, which is what the inventory has: behind directors, and then with both backends at work at once in one mailbox."""

from __future__ import annotations

import pytest
from clients import eventually
from filesystems import (
    assert_mounted,
    assert_nothing_is_missing_after_moves,
    assert_two_at_once_lose_nothing,
    deploy_without_directors,
)
from storage import home_of

DISK = "/dev/ubdb"
SETTINGS = {"mmap_disable": "yes", "lock_method": "flock", "mail_fsync": "optimized"}


@pytest.fixture
def backends(nodes, lab_is_whole):
    eventually(lab_is_whole, 90, "a whole cluster", interval=2)
    return nodes.of("dovecot_backends")


@pytest.fixture(scope="module")
def without_directors(lab, nodes, ansible, tmp_path_factory):
    backends = nodes.of("dovecot_backends")
    deploy_without_directors(lab, tmp_path_factory.mktemp("ocfs2"), ansible, backends, "ocfs2", DISK)
    return backends


def test_the_disk_is_mounted_on_both_backends_with_the_settings_of_its_kind(backends):
    assert_mounted(backends, DISK, "ocfs2", SETTINGS)


def test_a_user_who_goes_on_at_the_other_backend_finds_all_mail(backends, nodes, clients):
    assert_nothing_is_missing_after_moves(nodes, clients, backends)


def test_when_a_backend_loses_its_power_its_users_go_on_at_the_other(backends, nodes, clients, lab_node):
    user = sorted(clients.passwords)[2]
    sent = [clients.deliver(user) for _message in range(5)]
    lab_node.kill(victim := home_of(user, nodes))
    sent.append(eventually(lambda: clients.deliver(user), 90, "a delivery to the other backend", interval=1))
    found = eventually(lambda: all(clients.has(user, message_id) for message_id in sent), 60, "all mail at the other backend")
    lab_node.start(victim)
    assert found


def test_two_backends_used_at_once_by_the_same_user_lose_nothing(without_directors, clients):
    assert_two_at_once_lose_nothing(clients, without_directors)
