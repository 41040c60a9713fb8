"""What is mounted, as the kernel tells it."""

from __future__ import annotations

import pytest

from ansible_collections.mailcluster.dovecot.plugins.module_utils._mounts import mount_point_of, mounted_at, not_in_force

MOUNTINFO = """\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
41 22 0:38 / /var/vmail rw,noatime shared:20 - nfs4 198.51.100.71:/srv/mail rw,vers=4.2,rsize=262144,wsize=262144,namlen=255,\
acregmin=60,acdirmin=60,hard,nordirplus,proto=tcp,timeo=600,retrans=2,sec=sys,clientaddr=198.51.100.31,local_lock=none,\
addr=198.51.100.71
57 22 0:44 / /srv/with\\040blank rw,relatime - fuse.glusterfs mail1:/mail rw,user_id=0,group_id=0
"""
WANTED = ["nfsvers=4.2", "hard", "noatime", "nordirplus", "actimeo=60", "_netdev"]


def mount(**more):
    return {**mounted_at(MOUNTINFO, "/var/vmail"), **more}


def test_what_is_mounted_there():
    assert (mount()["source"], mount()["filesystem"]) == ("198.51.100.71:/srv/mail", "nfs4")
    assert mounted_at(MOUNTINFO, "/srv/with blank")["filesystem"] == "fuse.glusterfs"


def test_a_folder_on_another_file_system_is_no_mount():
    assert mounted_at(MOUNTINFO, "/var/vmail/example.org") is None
    assert mounted_at(MOUNTINFO, "/var") is None


def test_a_mount_without_a_source():
    nameless = MOUNTINFO + "60 22 0:50 / /mnt rw shared:3 - tmpfs  rw,size=1k\n"
    assert mounted_at(nameless, "/mnt") == {"source": "", "filesystem": "tmpfs", "options": ["rw", "rw", "size=1k"]}


def test_the_last_of_several_mounts_counts():
    hidden = MOUNTINFO + "60 41 0:50 / /var/vmail rw - tmpfs tmpfs rw\n"
    assert mounted_at(hidden, "/var/vmail")["filesystem"] == "tmpfs"
    assert mount_point_of(hidden, "/var/vmail/example.org") == ("/var/vmail", "tmpfs")


@pytest.mark.parametrize(
    ("path", "point"),
    [
        ("/srv/mail", ("/", "ext4")),
        ("/", ("/", "ext4")),
        ("/var/vmail", ("/var/vmail", "nfs4")),
        ("/var/vmail/example.org", ("/var/vmail", "nfs4")),
        ("/var/vmail2", ("/", "ext4")),
    ],
)
def test_the_file_system_that_has_a_folder(path, point):
    assert mount_point_of(MOUNTINFO, path) == point


def test_the_recommended_options_are_in_force():
    assert not_in_force(WANTED, mount()) == []


@pytest.mark.parametrize("wanted", ["nfsvers=4.1", "soft", "actimeo=30", "lookupcache=positive", "ro", "rdirplus"])
def test_an_option_that_is_not_in_force(wanted):
    assert not_in_force([wanted], mount()) == [wanted]


@pytest.mark.parametrize("wanted", ["lookupcache=all", "acregmax=60", "local_lock=none", "rw"])
def test_what_the_kernel_has_by_itself_is_in_force(wanted):
    assert not_in_force([wanted], mount()) == []


@pytest.mark.parametrize("wanted", ["_netdev", "nofail", "retry=5", "x-systemd.requires=chrony.service"])
def test_what_the_kernel_is_not_told_is_not_judged(wanted):
    assert not_in_force([wanted], mount()) == []


def test_of_other_file_systems_the_flags_are_judged():
    other = mounted_at(MOUNTINFO, "/srv/with blank")
    assert not_in_force(["noatime", "attribute-timeout=0"], other) == ["noatime"]
