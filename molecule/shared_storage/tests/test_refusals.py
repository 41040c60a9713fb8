"""Storage and nodes that are not as they must be, found before Dovecot or anybody's mail was touched.

Tests that are alike say what they spoil and how they repair it all the same, so that each can be read alone.
"""

from __future__ import annotations

import re

import pytest
from clients import eventually
from storage import unmount


@pytest.fixture
def mail2(nodes, lab_is_whole):
    eventually(lab_is_whole, 90, "a whole cluster", interval=2)
    return nodes["mail2"]


def refusal(ansible, playbook, *words):
    done = ansible(playbook, *words)
    assert done.returncode != 0, "it was not refused"
    return re.sub(r"\s+", " ", done.stdout)


def test_before_a_node_is_changed_its_clock_its_mail_user_and_its_own_mail_are_looked_at(mail2, ansible):
    unmount(mail2)
    mail2.run(
        "date --set '+1 hour' && install -d -m 0755 /var/vmail/example.org && touch /var/vmail/example.org/mail "
        "&& usermod --uid 5001 vmail"
    )
    try:
        told = refusal(ansible, "site.yml")
    finally:
        mail2.run("date --set '-1 hour' && rm -r /var/vmail/example.org && usermod --uid 5000 vmail && systemctl start dovecot")
    assert "mail2: has mail in /var/vmail on its own disk, which the shared storage would hide: copy it to the storage" in told
    assert re.search(r"mail2: its clock is 3\d\d\d s ahead of this machine's", told) and "keep time by NTP" in told
    assert "mail2: its user vmail has uid 5001 and gid 5000" in told and "usermod" in told
    assert "changed=1" not in told, "a node was changed before the refusal"


def test_an_export_that_would_be_an_empty_folder_after_a_restart_of_its_server(nodes, ansible):
    nodes["nfs1"].run("mount -t tmpfs tmpfs /mnt")
    try:
        told = refusal(ansible, "site.yml", "-e", "dovecot_nfs_server_export=/mnt/mail")
    finally:
        nodes["nfs1"].run("umount /mnt")
    assert "nfs1: its export is on the file system at /mnt, which was mounted by hand" in told and "/etc/fstab" in told
    assert "changed=1" not in told, "a node was changed before the refusal"


def test_an_nfs_server_that_would_not_start_with_its_machine_is_told(nodes, ansible):
    nodes["nfs1"].run("systemctl disable nfs-server")
    try:
        told = refusal(ansible, "verify.yml", "--limit", "nfs1")
    finally:
        nodes["nfs1"].run("systemctl enable nfs-server")
    assert (
        "nfs-server.service of nfs1 is not running, or would not run after a restart: systemctl enable --now nfs-server" in told
    )


def test_where_the_export_belongs_to_somebody_else_dovecot_is_not_started(nodes, mail2, ansible):
    unmount(mail2)
    nodes["nfs1"].run("chown 0:0 /srv/mail && chmod 0755 /srv/mail")
    try:
        told = refusal(ansible, "site.yml", "--limit", "mail2")
        assert mail2.host.run("systemctl is-active dovecot").stdout.strip() == "inactive"
    finally:
        nodes["nfs1"].run("chown 5000:5000 /srv/mail && chmod 0700 /srv/mail")
        mail2.run("systemctl restart var-vmail.mount && systemctl start dovecot")
    assert "mail2: /var/vmail belongs to user 0 and group 0 on the storage" in told and "'chown 5000:5000'" in told
    assert "user 5000 cannot write to /var/vmail" in told


def test_another_mount_over_it_is_refused(mail2, ansible):
    mail2.run("mount -t tmpfs -o uid=5000,gid=5000,mode=0700 tmpfs /var/vmail")
    try:
        told = refusal(ansible, "verify.yml", "--limit", "mail2")
    finally:
        mail2.run("umount /var/vmail && systemctl start dovecot")
    assert "mail2: /var/vmail has the file system tmpfs, but dovecot_shared_storage_type means nfs4" in told
    assert "/var/vmail is mounted from tmpfs, but dovecot_shared_storage_source is 198.51.100.71:/srv/mail" in told


def test_two_servers_under_one_name_are_found_by_what_the_nodes_do_not_see(nodes, mail2, ansible):
    """Each node mounts what is declared, and one of them from another machine."""
    twin = nodes["mail1"]
    unmount(mail2)
    twin.run(
        f"install -d -o 5000 -g 5000 -m 0700 /srv/mail && systemctl start nfs-server && "
        f"exportfs -o rw,no_subtree_check,fsid=1 {mail2.address}:/srv/mail"
    )
    mail2.run(
        f"nft 'add table ip twin; add chain ip twin out {{ type nat hook output priority -100; }}; "
        f"add rule ip twin out ip daddr {nodes['nfs1'].address} tcp dport 2049 dnat to {twin.address}'"
    )
    try:
        mail2.run("systemctl start dovecot")
        told = refusal(ansible, "verify.yml", "--limit", "mail1,mail2")
    finally:
        unmount(mail2)
        mail2.run("nft delete table ip twin && systemctl start dovecot")
        twin.run("systemctl stop nfs-server; exportfs -au; rm -rf /srv/mail")
    assert "has just written to /var/vmail is not seen here: is the same storage mounted on both" in told


def test_storage_that_does_not_answer_is_told_and_not_waited_for(nodes, mail2, ansible):
    server = nodes["nfs1"]
    server.run(
        "nft 'add table inet gone; add chain inet gone in { type filter hook input priority -20; }; "
        "add rule inet gone in ip saddr 198.51.100.32 tcp dport 2049 drop'"
    )
    try:
        told = refusal(ansible, "verify.yml", "--limit", "mail2", "-e", "dovecot_shared_storage_timeout=15")
    finally:
        server.run("nft delete table inet gone")
    assert "mail2: 198.51.100.71:/srv/mail does not answer after 15 s: is its server up, and reached from here?" in told
