"""The lab itself: what its tests take for a power cut, a machine that hangs and a cable that is pulled is such a thing."""

from __future__ import annotations

import socket

from clients import eventually


def listens(node):
    try:
        with socket.create_connection((node.address, 22), timeout=2):
            return True
    except OSError:
        return False


def test_what_was_synced_outlives_a_kill_and_what_was_not_does_not(nodes, lab_node):
    node = nodes["mail1"]
    node.run("dd if=/dev/zero of=/root/synced bs=4k count=16 conv=fsync && dd if=/dev/zero of=/root/not-synced bs=4k count=16")
    lab_node.kill(node)
    assert not listens(node)
    lab_node.start(node)
    assert node.run("stat --format=%s /root/synced").strip() == "65536"
    assert node.host.run("stat --format=%s /root/not-synced").stdout.strip() in ("", "0")


def test_a_node_that_hangs_goes_on_where_it_was(nodes, lab_node):
    for node in (nodes["mail1"], nodes["director1"]):
        before = node.run("cat /proc/sys/kernel/random/boot_id")
        with lab_node.paused(node):
            assert not listens(node) or not answers(node)
        after = eventually(lambda node=node: node.run("cat /proc/sys/kernel/random/boot_id"), 20, f"{node.name}'s return")
        assert after == before


def answers(node):
    """A container that hangs has a kernel that still takes connections."""
    with socket.create_connection((node.address, 22), timeout=2) as connection:
        try:
            return connection.recv(3) == b"SSH"
        except TimeoutError:
            return False


def test_a_node_whose_cable_is_pulled_is_reached_by_nobody_until_it_is_plugged_in(nodes, lab_node):
    for node in (nodes["mail1"], nodes["director1"]):
        with lab_node.unplugged(node):
            assert not listens(node)
        eventually(lambda node=node: listens(node), 20, f"{node.name}'s return")
