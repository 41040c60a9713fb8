"""The proof of shared storage: what it says of what it found."""

from __future__ import annotations

import pytest

from ansible_collections.mailcluster.dovecot.plugins.module_utils import _storage_probe as storage_probe

PARAMS = {
    "path": "/var/vmail",
    "unit": "var-vmail.mount",
    "filesystem": "nfs4",
    "source": "198.51.100.71:/srv/mail",
    "options": ["hard", "noatime"],
    "uid": 5000,
    "gid": 5000,
    "lock": "fcntl",
    "max_clock_difference": 1.0,
}
MOUNT = {"source": "198.51.100.71:/srv/mail", "filesystem": "nfs4", "options": ["rw", "noatime", "hard"]}
WRITTEN = {"owner": [5000, 5000], "clock": [1000.0, 1000.1, 1000.2]}


def test_storage_as_declared_has_no_complaint():
    assert storage_probe.mount_complaints(MOUNT, PARAMS) == []
    assert storage_probe.writing_complaints(WRITTEN, PARAMS, nfs=True) == []
    assert storage_probe.lock_complaint("mail2", "locked", PARAMS) is None


@pytest.mark.parametrize(
    "mount, words",
    [
        (None, "nothing is mounted at /var/vmail: see 'journalctl -u var-vmail.mount'"),
        ({**MOUNT, "filesystem": "ext4"}, "has the file system ext4, but dovecot_shared_storage_type means nfs4"),
        ({**MOUNT, "source": "198.51.100.99:/mail"}, "is mounted from 198.51.100.99:/mail, but dovecot_shared_storage_source is"),
        ({**MOUNT, "options": ["rw", "hard"]}, "the mount options noatime are not in force (there are rw,hard): stop Dovecot"),
    ],
)
def test_another_mount_than_declared(mount, words):
    (sentence,) = storage_probe.mount_complaints(mount, PARAMS)
    assert words in sentence


@pytest.mark.parametrize(
    "told, words",
    [
        ({**WRITTEN, "owner": [0, 0]}, "belongs to user 0 and group 0 on the storage, but mail has dovecot_mail_uid 5000"),
        ({"owner": [5000, 5000], "error": "Permission denied"}, "user 5000 cannot write to /var/vmail (Permission denied)"),
        ({**WRITTEN, "clock": [1000.0, 900.0, 1000.2]}, "its clock is +100.1 s from the file server's"),
    ],
)
def test_storage_that_cannot_hold_mail(told, words):
    (sentence,) = storage_probe.writing_complaints(told, PARAMS, nfs=True)
    assert words in sentence


def test_a_slow_write_is_no_difference_of_clocks():
    assert storage_probe.writing_complaints({**WRITTEN, "clock": [1000.0, 1000.1, 1008.0]}, PARAMS, nfs=True) == []


def test_only_an_nfs_server_gives_files_a_time_of_its_own():
    assert storage_probe.writing_complaints({**WRITTEN, "clock": [1000.0, 900.0, 1000.2]}, PARAMS, nfs=False) == []


@pytest.mark.parametrize(
    "state, words",
    [
        ("hidden", "the file that mail2 has just written to /var/vmail is not seen here: is the same storage mounted"),
        (
            "unlocked",
            "the fcntl lock that mail2 holds in /var/vmail is not seen here, so indexes would break: mount without nolock",
        ),
        ("error: Operation not supported", "cannot be locked (error: Operation not supported): set dovecot_shared_storage_lock"),
    ],
)
def test_a_file_of_the_other_node(state, words):
    assert words in storage_probe.lock_complaint("mail2", state, PARAMS)
