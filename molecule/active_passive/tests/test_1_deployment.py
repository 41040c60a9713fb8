"""What a deployment makes of two nodes, and what it never touches."""

from __future__ import annotations

import pytest

SPARE = "/dev/ubdc"  # a disk of its own that nobody uses
# One partition of type Linux, from the second MiB on, as fdisk writes it.
TABLE = (
    "bytes(446) + bytes([0, 0, 0, 0, 131, 0, 0, 0]) + (2048).to_bytes(4, 'little') + (65536).to_bytes(4, 'little')"
    " + bytes(48) + bytes([85, 170])"
)
# What makes a device not empty.
CONTENTS = {
    "a file system": f"mkfs.ext4 -q {SPARE}",
    "a partition table": f"""python3 -c "open('{SPARE}', 'rb+').write({TABLE})" """,
    "a volume group of LVM": f"pvcreate --quiet --quiet {SPARE}",
    "DRBD's metadata of somebody else": f"drbdmeta --force 9 v08 {SPARE} internal create-md",
}


def test_one_node_serves_and_systemd_starts_dovecot_on_neither(pair, nodes):
    active = pair.active()
    passive = pair.other(active)
    assert pair.mounted(active) and not pair.mounted(passive)
    for node in nodes.values():
        assert node.host.run("systemctl is-enabled dovecot").stdout.strip() == "disabled"
    assert passive.host.run("systemctl is-active dovecot").stdout.strip() == "inactive"


def test_the_passive_node_has_the_files_of_the_active_one(nodes):
    files = "/etc/dovecot/*.conf /etc/dovecot/*.passwd /etc/dovecot/mailcluster.d/*.conf /etc/corosync/* /etc/drbd.d/mail.res"
    one, other = (node.run(f"sha256sum {files} | grep -v 10-server.conf") for node in nodes.values())
    assert one == other


def test_nobody_writes_below_the_mount_on_the_passive_node(pair):
    passive = pair.other(pair.active())
    assert passive.host.run("runuser -u vmail -- touch /var/vmail/mail").rc != 0


@pytest.fixture
def spare(pair):
    """The spare disk of the passive node, empty before and after."""
    node = pair.other(pair.active())
    empty = f"wipefs --quiet --all {SPARE}; dd if=/dev/zero of={SPARE} bs=1M status=none; true"
    node.run(empty)
    yield node
    node.run(empty)


@pytest.mark.parametrize("content", CONTENTS)
def test_a_device_that_is_not_empty_is_refused_and_not_touched(content, spare, module):
    spare.run(CONTENTS[content])
    before = spare.run(f"sync; sha256sum {SPARE}")
    for storage, step in (("lun", "format"), ("drbd", "attach")):
        told = module(
            spare, "mail_device", storage=storage, step=step, device=SPARE, directory="/srv/x", uid=5000, gid=5000, resource="x"
        )
        assert f"{SPARE} is not empty" in told["msg"]
    assert spare.run(f"sync; sha256sum {SPARE}") == before


def test_a_device_in_use_or_away_is_refused_before_anything_is_changed(ansible, pair):
    for device, words in {"/dev/ubda": "mounted at /", "/dev/nothing": "does not exist"}.items():
        done = ansible("site.yml", "-e", f"dovecot_active_passive_device={device}")
        assert done.returncode != 0
        assert "These nodes cannot be deployed, nothing was changed" in done.stdout
        assert words in done.stdout
    pair.is_whole()
