"""What is on a block device and who uses it, as wipefs and lsblk of Debian 12 tell it."""

from __future__ import annotations

import json

import pytest

from ansible_collections.mailcluster.dovecot.plugins.module_utils import _block_device as devices
from ansible_collections.mailcluster.dovecot.plugins.module_utils._errors import Failure

WIPEFS = """{
   "signatures": [
      {"device":"mail", "offset":"0x438", "type":"ext4", "uuid":"0b5f6f7a-2f5e-4ea5-8b2f-96a4a1ffa3c1", "label":"mail"},
      {"device":"mail", "offset":"0x1ffff000", "type":"drbd", "uuid":"9a5c7f0e2b1d4c3f", "label":null},
      {"device":"mail", "offset":"0x1fe", "type":"dos", "uuid":null, "label":null}
   ]
}
"""


def lsblk(*children, mounts=(None,), name="/dev/vda", kind="disk", size=10737418240):
    return {"name": name, "type": kind, "size": size, "mountpoints": list(mounts), "children": list(children)}


def printed(device):
    """Without the empty list, as lsblk does."""
    text = json.dumps({"blockdevices": [device]})
    return text.replace(', "children": []', "")


def test_signatures_of_a_device():
    assert devices.signatures_of(WIPEFS) == [
        {"type": "ext4", "uuid": "0b5f6f7a-2f5e-4ea5-8b2f-96a4a1ffa3c1"},
        {"type": "drbd", "uuid": "9a5c7f0e2b1d4c3f"},
        {"type": "dos", "uuid": ""},
    ]


def test_of_an_empty_device_wipefs_prints_nothing():
    assert devices.signatures_of("") == []


VOLUME = lsblk(name="/dev/mapper/vg0-root", kind="lvm", mounts=["/"])


@pytest.mark.parametrize(
    ("device", "uses"),
    [
        (lsblk(), []),
        (lsblk(mounts=["/srv"]), ["has the file system mounted at /srv"]),
        (lsblk(mounts=["[SWAP]"]), ["is swap"]),
        (
            lsblk(lsblk(name="/dev/vda1", kind="part", mounts=["/", "/home"])),
            ["has the file system mounted at /", "has the file system mounted at /home", "has the partition /dev/vda1"],
        ),
        (
            lsblk(lsblk(VOLUME, name="/dev/vda2", kind="part")),
            ["has the file system mounted at /", "has the partition /dev/vda2"],
        ),
        (lsblk(lsblk(name="/dev/mapper/vg0-new", kind="lvm")), ["is part of /dev/mapper/vg0-new (lvm)"]),
        (lsblk(lsblk(name="/dev/md0", kind="raid1")), ["is part of /dev/md0 (raid1)"]),
    ],
)
def test_who_uses_a_device(device, uses):
    assert devices.uses_of(printed(device)) == uses


def test_the_drbd_of_the_pair_is_no_use_by_somebody_else():
    assert devices.uses_of(printed(lsblk(lsblk(name="/dev/drbd0", mounts=["/var/vmail"])))) == []


def test_the_size_in_bytes():
    assert devices.size_of(printed(lsblk())) == 10737418240


@pytest.mark.parametrize(
    ("known", "is_ours"), [({}, False), ({"uuid": ""}, False), ({"uuid": "another"}, False), ({"uuid": "9a5c7f0e2b1d4c3f"}, True)]
)
def test_what_was_made_is_known_by_its_uuid(known, is_ours):
    assert devices.is_made(known, devices.signatures_of(WIPEFS)) is is_ours


def test_a_signature_without_uuid_is_nobodys():
    assert not devices.is_made({"uuid": ""}, [{"type": "dos", "uuid": ""}])


def test_what_is_not_there(tmp_path):
    read = devices.read(None, str(tmp_path / "none"), str(tmp_path / "device.json"))
    assert (read["block"], read["ours"], read["ready"]) == (False, False, False)


def test_a_file_is_no_block_device(tmp_path):
    (tmp_path / "disk.img").write_bytes(b"")
    assert not devices.is_block(str(tmp_path / "disk.img"))


def test_a_damaged_record_is_told_instead_of_taken_for_none(tmp_path):
    record = tmp_path / "device.json"
    record.write_text("{")
    with pytest.raises(Failure, match="is damaged"):
        devices.made(str(record))
    record.unlink()
    assert devices.made(str(record)) == {}
