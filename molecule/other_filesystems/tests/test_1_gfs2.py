"""GFS2 with dlm in the place of OCFS2, on the same disk, with both backends at work at once: its locks are those of fcntl."""

from __future__ import annotations

import pytest
from clients import eventually
from filesystems import assert_mounted, assert_two_at_once_lose_nothing, deploy_without_directors, stop

DISK = "/dev/ubdb"
SETTINGS = {"mmap_disable": "yes", "lock_method": "fcntl", "mail_fsync": "optimized"}
# A node that a busy machine holds up for some seconds is not lost: dlm has both nodes end, when they find each other again.
COROSYNC = """totem {{
  version: 2
  token: 20000
  cluster_name: gfs
  transport: udpu
}}
nodelist {{
{nodes}}}
quorum {{
  provider: corosync_votequorum
  two_node: 1
}}
logging {{
  to_syslog: yes
}}
"""
MEMBER = "  node {{\n    ring0_addr: {address}\n    name: {name}\n    nodeid: {number}\n  }}\n"


@pytest.fixture(scope="module")
def backends(lab, nodes, ansible, tmp_path_factory):
    found = nodes.of("dovecot_backends")
    stop(found)
    members = "".join(MEMBER.format(address=node.address, name=node.name, number=number) for number, node in enumerate(found, 1))
    for node in found:
        # without fencing, which two nodes need whose storage is to outlive one of them: docs/shared_storage.md
        node.run(
            "systemctl disable --now ocfs2 o2cb; mkdir -p /etc/dlm && echo enable_fencing=0 > /etc/dlm/dlm.conf && "
            "printf %s > /etc/corosync/corosync.conf && systemctl restart corosync",
            COROSYNC.format(nodes=members),
        )
    eventually(lambda: "Quorate:          Yes" in found[0].run("corosync-quorumtool; true"), 30, "two nodes with a quorum")
    for node in found:
        node.run("systemctl start dlm")
    found[0].run(
        f"wipefs --all {DISK} && mkfs.gfs2 -O -j 2 -J 8 -p lock_dlm -t gfs:mail {DISK} && mount -t gfs2 {DISK} /mnt && "
        "chown 5000:5000 /mnt && chmod 0700 /mnt && umount /mnt"
    )
    deploy_without_directors(lab, tmp_path_factory.mktemp("gfs2"), ansible, found, "gfs2", DISK)
    return found


def test_the_disk_is_mounted_on_both_backends_with_the_settings_of_its_kind(backends):
    assert_mounted(backends, DISK, "gfs2", SETTINGS)


def test_two_backends_used_at_once_by_the_same_user_lose_nothing(backends, clients):
    assert_two_at_once_lose_nothing(clients, backends)
