"""A split brain of DRBD: what each side did, and that nothing is given up before it was put aside."""

from __future__ import annotations

import os
import shutil
import subprocess
import time

import pytest

from ansible_collections.mailcluster.dovecot.plugins.module_utils import _split_brain
from ansible_collections.mailcluster.dovecot.plugins.module_utils._errors import Failure
from ansible_collections.mailcluster.dovecot.plugins.module_utils._split_brain import Copy, history

STOPPED = "version: 8.4.11\n"
STANDING_ALONE = "\n 0: cs:StandAlone ro:Secondary/Unknown ds:UpToDate/DUnknown   r-----\n"
SERVING = "\n 0: cs:StandAlone ro:Primary/Unknown ds:UpToDate/DUnknown   r-----\n"
PROMOTED = "100.5 mail1 kernel: block drbd0: role( Secondary -> Primary ) "
DEMOTED = "300.5 mail1 kernel: block drbd0: role( Primary -> Secondary ) "
LOST = "200.5 mail1 kernel: drbd mail: peer( Secondary -> Unknown ) conn( Connected -> NetworkFailure ) "


def at(seconds):
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))


def test_the_side_that_served_before_and_after_the_nodes_lost_each_other():
    assert history([PROMOTED, LOST]) == (200.5, f"since {at(100.5)}")


def test_a_side_that_serves_no_more():
    assert history([PROMOTED, LOST, DEMOTED]) == (200.5, f"from {at(100.5)} until {at(300.5)}")


def test_what_was_before_both_had_the_same_does_not_count():
    assert history([PROMOTED, DEMOTED.replace("300.5", "150.5"), LOST]) == (200.5, "")


def test_a_journal_that_does_not_tell():
    assert history(["-- No entries --", "-- Boot 4f2a --", ""]) == (0, "")


@pytest.mark.parametrize("step", ["Connected -> VerifyS", "SyncSource -> Connected", "WFConnection -> WFReportParams"])
def test_nodes_that_stay_together_or_are_apart_already_lose_nothing(step):
    assert history([f"200.5 mail1 kernel: drbd mail: conn( {step} ) "]) == (0, "")


class Node:
    """Plays DRBD and mount, and lets cp copy. C(files): what is on the device."""

    def __init__(self, folder, files=("old", "new")):
        self.folder, self.files, self.said = folder, files, []

    def __call__(self, argv, cwd=None):
        self.said.append(" ".join(argv[:2]))
        if argv[0] == "mount":
            assert argv[:5] == ["mount", "-t", "xfs", "-o", "ro,norecovery"]
            for path in self.files:
                target = os.path.join(argv[-1], path)
                os.makedirs(os.path.dirname(target), exist_ok=True)
                with open(target, "w", encoding="utf-8") as file:
                    file.write(path)
        elif argv[0] == "umount":
            shutil.rmtree(argv[-1])
            os.mkdir(argv[-1])
        elif argv[0] == "cp":
            subprocess.run(argv, cwd=cwd, check=True)
        return 0, "", ""


@pytest.fixture
def drbd(monkeypatch):
    """The contents of /proc/drbd, one for each look; the last remains."""
    shown = [STOPPED]
    monkeypatch.setattr(_split_brain, "read_proc", lambda: shown.pop(0) if len(shown) > 1 else shown[0])
    monkeypatch.setattr(_split_brain, "PATIENCE", 0.1)
    monkeypatch.setattr(_split_brain.time, "sleep", lambda _seconds: None)
    return shown


def test_what_has_changed_is_put_aside_with_its_folders_before_the_rest_is_given_up(tmp_path, drbd):
    node = Node(tmp_path, ["a/cur/1", "b/cur/2"])
    told = Copy(node, "mail", "/dev/vg0/mail", "xfs").discard(str(tmp_path / "aside"), time.time() - 60)
    assert told["files"] == 2
    assert sorted(os.listdir(told["kept"])) == ["a", "b"]
    with open(os.path.join(told["kept"], "a/cur/1"), encoding="utf-8") as file:
        assert file.read() == "a/cur/1"
    assert os.stat(told["kept"]).st_mode & 0o777 == 0o700
    drbdadm = [words for words in node.said if words.startswith(("drbdadm", "cp", "umount"))]
    assert drbdadm == [
        "drbdadm down",
        "cp --archive",
        "umount " + drbdadm[2].split()[1],
        *(f"drbdadm {word}" for word in ("up", "disconnect", "connect")),
    ]


def test_what_is_older_than_the_split_is_on_the_other_node_too(tmp_path, drbd):
    told = Copy(Node(tmp_path), "mail", "/dev/vg0/mail", "xfs").discard(str(tmp_path / "aside"), time.time() + 60)
    assert told["files"] == 0 and os.listdir(told["kept"]) == []


def test_without_a_folder_nothing_is_put_aside(tmp_path, drbd):
    node = Node(tmp_path)
    assert Copy(node, "mail", "/dev/vg0/mail", "xfs").discard("", 0) == {"kept": "", "files": 0}
    assert not any(words.startswith("mount") for words in node.said)


def test_without_room_for_it_nothing_is_given_up(tmp_path, drbd, monkeypatch):
    node = Node(tmp_path)
    monkeypatch.setattr(_split_brain.os, "statvfs", lambda _path: os.statvfs_result((4096, 4096, *[0] * 8)))
    with pytest.raises(Failure, match="nothing was given up: name a folder with more room"):
        Copy(node, "mail", "/dev/vg0/mail", "xfs").discard(str(tmp_path / "aside"), 0)
    assert node.said[-1] == "drbdadm up", "DRBD is as it was"


def test_a_copy_that_is_in_use_is_not_touched(tmp_path, drbd):
    drbd[:] = [SERVING]
    node = Node(tmp_path)
    with pytest.raises(Failure, match="this node still uses its copy"):
        Copy(node, "mail", "/dev/vg0/mail", "xfs").discard(str(tmp_path / "aside"), 0)
    assert node.said == []


def test_it_waits_until_pacemaker_has_stopped_drbd(tmp_path, drbd):
    drbd[:] = [SERVING, STANDING_ALONE, STOPPED]
    node = Node(tmp_path)
    Copy(node, "mail", "/dev/vg0/mail", "xfs").discard("", 0)
    assert node.said[-1] == "drbdadm connect"
    assert drbd == [STOPPED]
