"""The header of a disk by which nodes fence each other."""

from __future__ import annotations

import pytest

from ansible_collections.mailcluster.dovecot.plugins.module_utils import _sbd

# The first sector after `sbd -d DISK -1 10 -4 20 create` of sbd 1.5.2.
SECTOR = bytes.fromhex(
    "5342445f5342445f02ff000000000200" "0000000a000000020000000100000014" "015b02cff1e7da407eb307885c4eb94c" "84"
).ljust(512, b"\0")  # fmt: skip


def test_the_header_tells_its_uuid_and_timeouts():
    assert _sbd.parse(SECTOR) == {"uuid": "5b02cff1-e7da-407e-b307-885c4eb94c84", "watchdog": 10, "msgwait": 20}


@pytest.mark.parametrize("sector", [b"", bytes(512), b"SBD_SBD_", b"XFSB" + bytes(508)])
def test_anything_else_is_no_header(sector):
    assert _sbd.parse(sector) is None


def test_a_node_counts_as_reset_when_twice_the_time_of_its_watchdog_has_passed():
    assert _sbd.command(["/dev/a", "/dev/b"], 15) == ["sbd", "-d", "/dev/a", "-d", "/dev/b", "-1", "15", "-4", "30", "create"]
