"""The header of a disk by which nodes fence each other."""

from __future__ import annotations

import pytest

from ansible_collections.mailcluster.dovecot.plugins.module_utils import _sbd

# The first sector after `sbd -d DISK -1 10 -4 20 create` of sbd 1.5.2.
SECTOR = bytes.fromhex("""
    5342445f5342445f02ff000000000200
    0000000a000000020000000100000014
    015b02cff1e7da407eb307885c4eb94c
    84
""").ljust(512, b"\0")


@pytest.fixture
def header(tmp_path):
    """Of a disk with this content."""

    def read(content):
        (tmp_path / "disk").write_bytes(content)
        return _sbd.header(str(tmp_path / "disk"))

    return read


def test_the_header_tells_its_uuid_and_timeouts(header):
    assert header(SECTOR) == {"uuid": "5b02cff1-e7da-407e-b307-885c4eb94c84", "watchdog": 10, "msgwait": 20, "nodes": []}


@pytest.mark.parametrize("size", [512, 4096])
def test_each_slot_tells_its_node_and_is_followed_by_a_message(header, size):
    first = bytearray(SECTOR.ljust(size, b"\0"))
    first[12:16] = size.to_bytes(4, "big")
    # a node that was given up is not in use any more; a message begins with what is to be done
    sectors = [b"\1mail1", b"\1mail2", b"\1mail2", b"", b"\0mail3", b""]
    assert header(bytes(first) + b"".join(sector.ljust(size, b"\0") for sector in sectors))["nodes"] == ["mail1", "mail2"]


@pytest.mark.parametrize("content", [b"", bytes(512), b"SBD_SBD_", b"XFSB" + bytes(508)])
def test_anything_else_is_no_header(header, content):
    assert header(content) is None


def test_a_node_counts_as_reset_when_twice_the_time_of_its_watchdog_has_passed():
    assert _sbd.command(["/dev/a", "/dev/b"], 15) == ["sbd", "-d", "/dev/a", "-d", "/dev/b", "-1", "15", "-4", "30", "create"]
