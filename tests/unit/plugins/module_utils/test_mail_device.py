"""The storage of an active/passive pair is made where there is nothing, and nowhere else."""

from __future__ import annotations

import json

import pytest

from ansible_collections.mailcluster.dovecot.plugins.module_utils import _mail_device
from ansible_collections.mailcluster.dovecot.plugins.module_utils._errors import Failure

VOLUME, DRBD = "/dev/vg0/mail", "/dev/drbd0"
EXT4 = {"type": "ext4", "uuid": "0b5f6f7a-2f5e"}
METADATA = {"type": "drbd", "uuid": "9a5c7f0e2b1d4c3f"}
JUST_CREATED = "0000000000000004:0000000000000000:0000000000000000:0000000000000000:0:0:0:0:0:0:0:0:0:0\n"
WRITTEN = "8C4D0D0C2D7C3C9B:0000000000000000:0000000000000000:0000000000000000:1:1:0:0:0:0:0:0:0:0\n"


class Node:
    """Plays the programs of a node: C(there), device -> signatures; C(said), what was called but wipefs."""

    def __init__(self, there=None, generations=JUST_CREATED, disks="Inconsistent/Inconsistent"):
        self.there = {VOLUME: [], DRBD: [], **(there or {})}
        self.generations, self.disks, self.failing, self.said = generations, disks, {}, []

    def __call__(self, argv):
        if argv[0] == "wipefs":
            assert argv[1:3] == ["--no-act", "--json"], "wipefs may only look"
            found = self.there[argv[3]]
            return 0, json.dumps({"signatures": found}) if found else "", ""
        words = " ".join(argv)
        self.said.append(words)
        if words in self.failing:
            return 1, "", self.failing[words]
        if argv[0].startswith("mkfs"):
            self.there[argv[-1]] = [*self.there[argv[-1]], EXT4]
        elif argv[1] == "create-md":
            self.there[VOLUME] = [METADATA]
        elif argv[1:] == ["primary", "--force", "mail"]:
            self.disks = "UpToDate/Inconsistent"
        return 0, {"get-gi": self.generations, "dstate": self.disks + "\n"}.get(argv[1], ""), ""

    @property
    def wrote(self):
        """The commands that destroy what was there."""
        return [words for words in self.said if words.startswith("mkfs") or "create-md" in words or "--force" in words]


@pytest.fixture
def take(tmp_path, monkeypatch):
    """Takes a step on a node, as often as it is called, with the same record."""
    monkeypatch.setattr(_mail_device, "PEER", 0)
    given_away = []
    monkeypatch.setattr(_mail_device.MailDevice, "give_to_mail_user", lambda self, device: given_away.append(device))
    record = tmp_path / "state" / "device.json"
    given = {"resource": "mail", "filesystem": "ext4", "existing": "", "uuid": "", "uid": 5000, "gid": 5000}

    def call(step, node, storage="drbd", check_mode=False, **more):
        params = {**given, "step": step, "storage": storage, "device": VOLUME, "directory": str(tmp_path / "mail"), **more}
        return _mail_device.MailDevice(params, node, check_mode, str(record))()

    call.record, call.given_away = record, given_away
    return call


def test_a_pair_is_made_on_empty_volumes_in_three_steps(take):
    node = Node()
    assert take("attach", node)["made"] == ["metadata of DRBD on /dev/vg0/mail"]
    assert take("format", node)["filesystem"] == EXT4["uuid"]
    finished = take("finish", node, uuid=EXT4["uuid"])
    assert finished == {"changed": True, "made": ["storage of the pair"], "filesystem": EXT4["uuid"]}
    assert node.wrote == ["drbdadm create-md --force mail", "drbdadm primary --force mail", "mkfs.ext4 -q -L mail /dev/drbd0"]
    assert node.said[-2:] == ["drbdadm secondary mail", "drbdadm down mail"]
    assert json.loads(take.record.read_text())["ready"] is True


def test_a_second_time_nothing_is_made(take):
    node = Node()
    for step in ("attach", "format"):
        take(step, node)
    take("finish", node, uuid=EXT4["uuid"])
    wrote = list(node.wrote)
    take.given_away.clear()
    again = [take("attach", node), take("format", node), take("finish", node, uuid=EXT4["uuid"])]
    assert [step["changed"] for step in again] == [False, False, False]
    assert node.wrote == wrote
    assert take.given_away == []


def test_a_lun_gets_a_file_system_that_the_other_node_sees(take):
    node = Node()
    assert take("format", node, "lun")["filesystem"] == EXT4["uuid"]
    assert take("finish", node, "lun", uuid=EXT4["uuid"])["changed"]
    assert node.wrote == ["mkfs.ext4 -q -L mail /dev/vg0/mail"]


SIGNATURES = [
    EXT4,
    {"type": "xfs", "uuid": "1"},
    {"type": "LVM2_member", "uuid": "2"},
    {"type": "linux_raid_member", "uuid": "3"},
    {"type": "gpt", "uuid": ""},
    {"type": "dos", "uuid": ""},
    {"type": "swap", "uuid": "4"},
    METADATA,
]


@pytest.mark.parametrize("signature", SIGNATURES, ids=lambda signature: signature["type"])
@pytest.mark.parametrize(
    ("step", "storage", "device"), [("attach", "drbd", VOLUME), ("format", "lun", VOLUME), ("format", "drbd", DRBD)]
)
def test_whatever_is_on_a_device_stays_there(step, storage, device, signature, take):
    node = Node({device: [signature]}, disks="UpToDate/Inconsistent")
    with pytest.raises(Failure, match=f"{device} is not empty, it has {signature['type']}.*nothing was made"):
        take(step, node, storage)
    assert node.wrote == []
    assert not take.record.exists()


@pytest.mark.parametrize(
    ("generations", "disks"),
    [
        (WRITTEN, "Inconsistent/Inconsistent"),
        (JUST_CREATED, "Inconsistent/UpToDate"),
        (JUST_CREATED, "Inconsistent/Outdated"),
        (WRITTEN, "Outdated/DUnknown"),
        (JUST_CREATED, "Diskless/DUnknown"),
        (WRITTEN, "Consistent/DUnknown"),
    ],
)
def test_data_of_drbd_that_somebody_may_have_written_are_never_given_up(generations, disks, take):
    node = Node({VOLUME: [METADATA]}, generations, disks)
    with pytest.raises(Failure, match="DRBD has data on /dev/vg0/mail .* so nothing was made"):
        take("format", node)
    assert node.wrote == []


@pytest.mark.parametrize(
    "at", ["drbdadm create-md --force mail", "drbdadm primary --force mail", "mkfs.ext4 -q -L mail /dev/drbd0"]
)
def test_what_was_interrupted_is_taken_up_by_the_next_run(at, take):
    node = Node()
    node.failing[at] = "killed"
    with pytest.raises(Failure, match=f"'{at}' failed: killed"):
        for step in ("attach", "format"):
            take(step, node)
    node.failing.clear()
    node.said.clear()

    take("attach", node)
    assert take("format", node)["filesystem"] == EXT4["uuid"]
    assert take("finish", node, uuid=EXT4["uuid"])["changed"]
    assert node.wrote.count(at) == 1


def test_a_file_system_that_was_made_and_not_yet_given_to_the_mail_user_is_given_to_him_by_the_next_run(take):
    node = Node()
    take("attach", node)
    take("format", node)  # and interrupted right after mkfs
    take.given_away.clear()
    take("format", node)
    assert take.given_away == [DRBD]
    assert sum(words.startswith("mkfs") for words in node.wrote) == 1


def test_after_a_failure_drbd_is_not_left_primary(take):
    node = Node()
    take("attach", node)
    node.failing["mkfs.ext4 -q -L mail /dev/drbd0"] = "killed"
    with pytest.raises(Failure):
        take("format", node)
    assert node.said[-1] == "drbdadm secondary mail"


def test_a_node_is_not_ready_before_the_other_has_made_the_file_system(take):
    node = Node()
    take("attach", node)
    with pytest.raises(Failure, match="the other node has made no file system"):
        take("finish", node)


def test_a_lun_that_is_another_one_is_told(take):
    node = Node({VOLUME: [{"type": "ext4", "uuid": "another"}]})
    with pytest.raises(Failure, match=r"does not have the file system 0b5f6f7a-2f5e .*another LUN"):
        take("finish", node, "lun", uuid=EXT4["uuid"])
    assert not take.record.exists()


@pytest.mark.parametrize(("step", "storage"), [("attach", "drbd"), ("format", "drbd"), ("format", "lun"), ("finish", "lun")])
def test_check_mode_tells_what_would_be_made_and_makes_nothing(step, storage, take, tmp_path):
    node = Node()
    assert take(step, node, storage, check_mode=True)["changed"]
    assert node.said == []
    assert list(tmp_path.iterdir()) == []


def test_a_file_system_that_is_declared_is_taken_as_it_is(take):
    node = Node({VOLUME: [METADATA], DRBD: [EXT4]}, WRITTEN, "UpToDate/UpToDate")
    for step in ("attach", "format"):
        take(step, node, existing=EXT4["uuid"])
    assert take("finish", node, existing=EXT4["uuid"], uuid=EXT4["uuid"])["filesystem"] == EXT4["uuid"]
    assert node.wrote == [] and take.given_away == []


@pytest.mark.parametrize("found", [[], [{"type": "ext4", "uuid": "another"}]])
def test_a_file_system_that_is_declared_and_not_there_is_not_made(found, take):
    node = Node({VOLUME: found})
    with pytest.raises(Failure, match="has no ext4 file system with the UUID 0b5f6f7a-2f5e"):
        take("format", node, "lun", existing=EXT4["uuid"])
    assert node.wrote == []


def test_the_secret_in_what_drbdadm_prints_is_not_told(take):
    node = Node()
    node.failing["drbdadm adjust mail"] = (
        "mail: Failure: (104) Can not open backing device.\n"
        "Command 'drbdsetup-84 net-conf 1 --shared-secret=not-for-others' terminated with exit code 10\n"
    )
    with pytest.raises(Failure) as caught:
        take("format", node)
    assert "Can not open backing device" in caught.value.message
    assert "not-for-others" not in caught.value.message


def test_the_folder_below_the_mount_takes_no_mail(take, tmp_path):
    node = Node()
    take("attach", node)
    take("format", node)
    take("finish", node, uuid=EXT4["uuid"])
    assert (tmp_path / "mail").stat().st_mode & 0o777 == 0o555
