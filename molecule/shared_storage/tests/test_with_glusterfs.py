"""GlusterFS in the place of NFS: a volume of which both backends hold a copy, and that they mount by FUSE."""

from __future__ import annotations

import pytest
from clients import eventually
from storage import boxes_of, home_of, no_mailbox_broken, unmount

VOLUME = "198.51.100.31:/mail"


@pytest.fixture(scope="module")
def both(nodes, ansible):
    backends = nodes.of("dovecot_backends")
    unmount(*backends)
    make_volume(*backends)
    done = ansible("site.yml", "--limit", "mail1,mail2", "-e", "dovecot_shared_storage_type=glusterfs",
                   "-e", f"dovecot_shared_storage_source={VOLUME}")
    assert done.returncode == 0, done.stdout[-3000:]
    yield backends
    unmount(*backends)


def make_volume(one, other):
    for node in (one, other):
        node.run("systemctl start glusterd && mkdir -p /srv/brick")
    one.run(f"gluster --mode=script peer probe {other.address}")
    bricks = " ".join(f"{node.address}:/srv/brick" for node in (one, other))
    eventually(lambda: one.host.run("gluster peer status").stdout.count("Peer in Cluster") == 1, 30, "a pair of peers")
    one.run(f"gluster --mode=script volume create mail replica 2 {bricks} force && gluster volume start mail")
    one.run(f"mount -t glusterfs {VOLUME} /mnt && chown 5000:5000 /mnt && chmod 0700 /mnt; umount /mnt")


def test_it_is_mounted_with_the_settings_of_its_kind(both):
    for node in both:
        assert node.run("findmnt --noheadings --output SOURCE,FSTYPE /var/vmail").split() == [VOLUME, "fuse.glusterfs"]
        assert node.run("doveconf -h mail_nfs_index mail_fsync").split() == ["yes", "always"]


def test_a_user_who_goes_on_at_the_other_backend_finds_all_mail(both, nodes, clients):
    user = sorted(clients.passwords)[0]
    eventually(lambda: clients.deliver(user), 60, "a delivery through the VIP")
    sent = []
    with no_mailbox_broken(both):
        for _move in range(4):
            sent += [clients.deliver(user) for _message in range(5)]
            found = {entry[4] for entry in boxes_of(clients, [user])[user]["messages"]}
            assert set(sent) <= found, "mail is missing"
            (other,) = [node for node in both if node is not home_of(user, nodes)]
            nodes["director1"].run(f"doveadm director move {user} {other.address}")
            eventually(lambda other=other: home_of(user, nodes) is other, 20, f"{user} on {other.name}")
