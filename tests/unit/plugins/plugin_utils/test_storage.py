"""What each kind of shared storage gets, as docs/shared_storage.md has it in its tables."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ansible_collections.mailcluster.dovecot.plugins.filter.shared_storage import mount_unit, shared_storage
from ansible_collections.mailcluster.dovecot.plugins.plugin_utils import _storage

DOCUMENT = (Path(__file__).resolve().parents[4] / "docs" / "shared_storage.md").read_text()


def storage(kind, has_directors, **more):
    return shared_storage({"type": kind, "path": "/var/vmail", "mail_location": "sdbox:~/sdbox", **more}, has_directors)


def table(heading):
    """The first table below a heading: the words of a row's first cell to its other cells, without the marks of code."""
    section = DOCUMENT.split(f"## {heading}\n", 1)[1]
    rows = re.search(r"^\|---.*\n((?:\|.*\n)+)", section, re.MULTILINE).group(1).splitlines()
    cells = [[cell.strip().replace("`", "") for cell in row.strip("|").split("|")] for row in rows]
    return {row[0]: row[1:] for row in cells}


# what is refused, test_refusals.py looks at
CASES = [
    (kind, has_directors)
    for kind in _storage.TYPES
    for has_directors in (True, False)
    if (kind, has_directors) != ("glusterfs", False)
]


@pytest.mark.parametrize("kind, has_directors", CASES)
def test_the_settings_are_those_of_the_table(kind, has_directors):
    told = table("Dovecot's settings")[kind][0 if has_directors else 1]
    expected = dict(re.split(r"\s*=\s*", setting) for setting in told.split(", "))
    assert storage(kind, has_directors)["settings"] == expected


@pytest.mark.parametrize("kind, has_directors", CASES)
def test_the_mount_options_are_those_of_the_table(kind, has_directors):
    told = table("The mount")[kind][0 if has_directors else 1]
    assert storage(kind, has_directors)["options"] == told.split(",")


def test_options_of_ones_own_take_the_place_of_all_others():
    assert storage("nfs", True, mount_options=["nfsvers=4.1", "hard"])["options"] == ["nfsvers=4.1", "hard"]


def test_a_lock_method_of_ones_own():
    found = storage("gfs2", True, lock_method="flock")
    assert found["settings"]["lock_method"] == found["lock_method"] == "flock"
    assert "lock_method" not in storage("ocfs2", True, lock_method="fcntl")["settings"], "Dovecot's default needs no line"


def test_indexes_and_volatile_files_on_the_nodes_own_disk():
    found = storage("nfs", True, mail_location="maildir:~/Maildir", index_dir="/var/lib/indexes", volatile_dir="/dev/shm/dovecot")
    assert found["mail_location"] == "maildir:~/Maildir:INDEX=/var/lib/indexes/%Ld/%Ln:VOLATILEDIR=/dev/shm/dovecot/%Ld/%Ln"
    assert storage("nfs", True)["mail_location"] == "sdbox:~/sdbox"


@pytest.mark.parametrize(
    "path, unit", [("/var/vmail", "var-vmail.mount"), ("/srv/mail-store/", "srv-mail\\x2dstore.mount"), ("/mail", "mail.mount")]
)
def test_the_unit_has_the_name_that_systemd_wants(path, unit):
    assert mount_unit(path) == unit
