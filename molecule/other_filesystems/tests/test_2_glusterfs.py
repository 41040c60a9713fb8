"""GlusterFS: a volume of which both backends hold a copy, and that they mount by FUSE. Behind directors only."""

from __future__ import annotations

import pytest
from clients import eventually
from filesystems import assert_mounted, assert_nothing_is_missing_after_moves, deploy, stop

VOLUME = "198.51.100.31:/mail"
SETTINGS = {"mmap_disable": "yes", "mail_nfs_index": "yes", "mail_nfs_storage": "yes", "mail_fsync": "always"}


@pytest.fixture(scope="module")
def backends(nodes, ansible):
    found = nodes.of("dovecot_backends")
    stop(found)
    make_volume(*found)
    deploy(ansible, "glusterfs", VOLUME)
    yield found
    stop(found)


def make_volume(one, other):
    for node in (one, other):
        node.run("systemctl start glusterd && mkdir -p /srv/brick")
    one.run(f"gluster --mode=script peer probe {other.address}")
    bricks = " ".join(f"{node.address}:/srv/brick" for node in (one, other))
    eventually(lambda: one.host.run("gluster peer status").stdout.count("Peer in Cluster") == 1, 30, "a pair of peers")
    one.run(f"gluster --mode=script volume create mail replica 2 {bricks} force && gluster volume start mail")
    one.run(f"mount -t glusterfs {VOLUME} /mnt && chown 5000:5000 /mnt && chmod 0700 /mnt; umount /mnt")


def test_the_volume_is_mounted_on_both_backends_with_the_settings_of_its_kind(backends):
    assert_mounted(backends, VOLUME, "fuse.glusterfs", SETTINGS)


def test_a_user_who_goes_on_at_the_other_backend_finds_all_mail(backends, nodes, clients):
    assert_nothing_is_missing_after_moves(nodes, clients, backends)
