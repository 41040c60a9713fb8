"""Nodes of active/passive pairs that cannot be deployed, as node_info found them."""

from __future__ import annotations

import pytest

from ansible_collections.mailcluster.dovecot.plugins.plugin_utils import _pair_checks, _topology

GIVEN = {
    name: {"address": address, "hostname": name, "partition": "pair", "service_address": "198.51.100.10/24"}
    for name, address in (("mail1", "198.51.100.31"), ("mail2", "198.51.100.32"))
}
GROUPS = {group: list(GIVEN) for group in ("dovecot_cluster", "dovecot_backends", "dovecot_active_passive")}
TOPOLOGY = _topology.derive(GROUPS, GIVEN)
EMPTY = {"block": True, "size": 1 << 30, "uses": [], "signatures": [], "ours": False, "ready": False}
EXT4 = {"type": "ext4", "uuid": "11111111-2222"}
READY = {"signatures": [{"type": "drbd", "uuid": "abc"}], "uses": ["is part of /dev/drbd0 (disk)"], "ours": True, "ready": True}


def declared(existing="", fence_disks=()):
    given = {"device": "/dev/vg0/mail", "existing_filesystem": existing, "watchdog": "/dev/watchdog", "watchdog_timeout": 10}
    return {name: {**given, "fence_disks": list(fence_disks)} for name in GIVEN}


def node(name, device, fence_disks=(), **more):
    return {"hostname": name, "has_mail": False, "device": device, "fence_disks": list(fence_disks), "has_watchdog": True, **more}


def problems(first=None, second=None, existing="", **more):
    """Of a pair of new nodes, whose devices differ so from empty ones; more: what else the first node has."""
    pairs = declared(existing)
    nodes = {"mail1": node("mail1", {**EMPTY, **(first or {})}, **more), "mail2": node("mail2", {**EMPTY, **(second or {})})}
    return list(_pair_checks.problems(nodes, pairs, TOPOLOGY))


def test_a_new_pair_with_empty_devices_passes():
    assert problems() == []


def test_a_pair_that_serves_passes_whatever_uses_its_devices():
    assert problems(READY, READY) == []


def test_a_new_node_beside_one_that_serves_passes():
    assert problems(READY) == []


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ({"block": False}, "does not exist, or is no block device: name a volume or a LUN that is there"),
        ({"uses": ["has the file system mounted at /"]}, "has the file system mounted at /: name another that nobody uses"),
        (
            {"uses": ["has the file system mounted at /boot", "has the partition /dev/sda1"], "signatures": [EXT4]},
            "has the file system mounted at /boot and has the partition /dev/sda1: name another that nobody uses",
        ),
        ({"signatures": [EXT4]}, "is not empty, it has ext4 (UUID 11111111-2222): name another"),
        ({"signatures": [{"type": "gpt", "uuid": ""}, {"type": "PMBR", "uuid": ""}]}, "is not empty, it has gpt, PMBR: name"),
        ({"signatures": [{"type": "LVM2_member", "uuid": "x"}]}, "is not empty, it has LVM2_member (UUID x)"),
        ({"signatures": [{"type": "drbd", "uuid": "abc"}]}, "is not empty, it has drbd (UUID abc)"),
    ],
)
def test_a_device_that_may_be_somebody_elses_is_refused(found, words):
    (sentence,) = problems(found)
    assert sentence.startswith("dovecot_active_passive_device: /dev/vg0/mail of mail1 ")
    assert words in sentence


def test_a_device_that_is_not_empty_may_be_emptied_or_used_as_it_is():
    (sentence,) = problems({"signatures": [EXT4]})
    assert "`wipefs --all /dev/vg0/mail`" in sentence
    assert "dovecot_active_passive_existing_filesystem" in sentence
    assert problems({"signatures": [EXT4]}, {"signatures": [EXT4]}, existing="11111111-2222") == []


def test_devices_of_different_sizes_are_refused_until_the_pair_is_made():
    (sentence,) = problems({"size": 1000}, {"size": 2000})
    assert "/dev/vg0/mail has 1000 bytes on mail1 and 2000 bytes on mail2: give both nodes one of the same size" in sentence
    assert problems({**READY, "size": 1000}, {**READY, "size": 2000}) == []


@pytest.mark.parametrize(("device", "refused"), [(EMPTY, True), ({**EMPTY, **READY}, False)])
def test_nothing_is_made_while_the_partner_is_not_reached(device, refused):
    nodes = {"mail1": node("mail1", device)}
    found = list(_pair_checks.problems(nodes, declared(), TOPOLOGY))
    assert [sentence.split(":")[0] for sentence in found] == (["mail1"] if refused else [])
    assert not refused or "mail2 was not reached, which may have it: run for both nodes at once" in found[0]


def test_a_host_name_that_pacemaker_would_not_find_is_refused():
    (sentence,) = problems(hostname="localhost")
    assert sentence.startswith("mail1: its host name is 'localhost', but Pacemaker and DRBD know it as 'mail1'")
    assert "hostnamectl set-hostname mail1" in sentence


def test_mail_that_the_mount_would_hide_is_refused():
    (sentence,) = problems(has_mail=True)
    assert sentence.startswith("mail1: has mail on its own disk where the pair's file system is to be mounted")


def test_nodes_of_other_variants_are_not_judged():
    assert list(_pair_checks.problems({}, {}, TOPOLOGY)) == []
    assert list(_pair_checks.problems({}, {}, None)) == []


SBD = "/dev/disk/by-id/small"
HEADER = {"uuid": "5b02cff1", "watchdog": 10, "msgwait": 20, "nodes": ["mail2", "mail1"]}


def fence_disk(header=None, **changes):
    return {"path": SBD, "block": True, "blank": header is None, "found": "", "header": header, **changes}


def problems_of_fencing(first, second, **more):
    """Of a pair that serves; first, second: the disk of sbd as each node sees it, None if the node was not reached."""
    disks = {"mail1": first, "mail2": second}
    nodes = {name: node(name, {**EMPTY, **READY}, [disk], **more) for name, disk in disks.items() if disk}
    return list(_pair_checks.problems(nodes, declared(fence_disks=[SBD]), TOPOLOGY))


def test_disks_of_sbd_that_are_empty_or_the_same_pass():
    assert problems_of_fencing(fence_disk(), fence_disk()) == []
    assert problems_of_fencing(fence_disk(HEADER), fence_disk(HEADER)) == []
    assert problems_of_fencing(fence_disk(HEADER), None) == []


@pytest.mark.parametrize(
    ("first", "second", "words"),
    [
        ({"block": False}, {}, "does not exist, or is no block device: name a disk that both nodes see"),
        ({"blank": False, "found": "has ext4 (UUID x)"}, {}, "has ext4 (UUID x): fence_sbd needs an empty disk of its own"),
        ({"header": HEADER}, {}, "(UUIDs of sbd: 5b02cff1 on mail1 and none on mail2): name those that both nodes see"),
        ({"header": HEADER}, {"header": {**HEADER, "uuid": "other"}}, "(UUIDs of sbd: 5b02cff1 on mail1 and other on mail2)"),
        ({}, None, "a disk of fence_sbd is empty, and mail2 was not reached, which has to see the same: run for both nodes"),
    ],
)
def test_disks_of_sbd_that_cannot_work_are_refused(first, second, words):
    (sentence,) = problems_of_fencing(fence_disk(**first), None if second is None else fence_disk(**second))
    assert words in sentence


def test_other_timeouts_than_those_on_the_disk_are_refused_with_the_command_that_writes_them():
    slow = {**HEADER, "watchdog": 5, "msgwait": 10}
    for sentence in problems_of_fencing(fence_disk(slow), fence_disk(slow)):
        assert sentence.startswith("dovecot_active_passive_watchdog_timeout: is 10, but /dev/disk/by-id/small of mail")
        assert "set it to 5; or, while Pacemaker and Corosync are stopped on both nodes" in sentence
        assert "`sbd -d /dev/disk/by-id/small -1 10 -4 20 create`" in sentence


def test_a_node_without_a_watchdog_is_refused_with_sbd_only():
    assert problems(has_watchdog=False) == []
    sentences = problems_of_fencing(fence_disk(HEADER), fence_disk(HEADER), has_watchdog=False)
    assert len(sentences) == 2
    assert "mail1 has no /dev/watchdog" in sentences[0] and "modprobe softdog" in sentences[0]


def test_a_disk_by_which_another_cluster_fences_is_refused():
    foreign = {**HEADER, "nodes": ["mail1", "db1", "db2"]}
    for sentence in problems_of_fencing(fence_disk(foreign), fence_disk(foreign)):
        assert "/dev/disk/by-id/small of mail" in sentence
        assert "has messages for db1, db2, so another cluster fences its nodes by it: name a disk of this pair's own" in sentence
        assert "(sbd -d /dev/disk/by-id/small -1 10 -4 20 create)" in sentence
