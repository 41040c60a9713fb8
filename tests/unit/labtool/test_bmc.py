"""What BMCs of machines are told, how they are found again, and what they do when a machine does not boot."""

from __future__ import annotations

import fcntl
import ipaddress
import subprocess

import pytest

from labtool import bmc, paths, vm
from labtool.inventory import Cluster, Node
from labtool.system import LabError

NODE = Node("mail1", "198.51.100.31", (), None, "vm", bmc=6231)


@pytest.fixture
def cluster(monkeypatch, tmp_path):
    monkeypatch.setattr(paths, "VM_NODES", tmp_path / "nodes")
    vm.folder("mail1").mkdir(parents=True)
    return Cluster("test", tmp_path / "hosts.yml", (NODE,), ipaddress.IPv4Network("198.51.100.0/24"), None, ())


@pytest.fixture
def power(monkeypatch):
    """What is done to machines."""
    done = []
    monkeypatch.setattr(vm, "kill", lambda name: done.append(f"{name} off"))
    monkeypatch.setattr(vm, "machine", lambda name: vm.Machine(name, "", "", "", []))
    monkeypatch.setattr(vm, "start", lambda machine: done.append(f"{machine.name} on"))
    monkeypatch.setattr(bmc, "forget_connections", lambda: None)
    return done


def status_of(name):
    return subprocess.run(
        ["sh", "-c", bmc.program_of_power(name), "power", "get", "power"], capture_output=True, text=True, check=False
    ).stdout


def test_a_password_is_made_once_for_its_owner_alone(cluster):
    password = bmc.ensure_password(cluster)
    assert len(password) == 16 and password.isalnum()
    assert bmc.ensure_password(cluster) == password
    assert (cluster.inventory.parent / ".secrets/bmc_password").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("text", ["", "two words", 'quote"d', "x" * 21])
def test_a_password_that_the_protocol_or_its_file_cannot_hold_is_refused(cluster, text):
    file = cluster.inventory.parent / ".secrets/bmc_password"
    file.parent.mkdir()
    file.write_text(f"{text}\n")
    with pytest.raises(LabError, match=str(file)):
        bmc.ensure_password(cluster)


def test_it_listens_at_its_port_of_this_machines_address(cluster):
    told = bmc.configuration(cluster, NODE, "s3cret")
    assert "addr 198.51.100.1 6231\n" in told
    assert 'user 2 true "fence" "s3cret" admin' in told


def test_it_is_found_by_its_folder_and_no_other_is(cluster):
    words = bmc.command(bmc.folder("mail1"))
    assert bmc.runs_from(words, bmc.folder("mail1"))
    assert bmc.runs_from(words, paths.VM_NODES)
    assert not bmc.runs_from(words, bmc.folder("mail"))
    assert not bmc.runs_from(["cat", f"{bmc.folder('mail1')}/log"], paths.VM_NODES)


def test_a_machine_is_on_while_a_process_of_it_has_its_console(cluster):
    assert status_of("mail1") == "power:0\n"
    with vm.console("mail1").open("a") as console:
        fcntl.flock(console, fcntl.LOCK_SH)
        with subprocess.Popen(["sleep", "60"], stdout=console) as helper:
            console.close()
            assert status_of("mail1") == "power:1\n"
            helper.kill()
    assert status_of("mail1") == "power:0\n"


@pytest.mark.parametrize(
    ("orders", "done"),
    [
        (["power", "0"], ["mail1 off"]),
        (["power", "1"], ["mail1 on"]),
        (["reset", "1"], ["mail1 off", "mail1 on"]),
        (["boot", "default"], []),
    ],
)
def test_what_it_is_asked_for(cluster, power, orders, done):
    bmc.obey("mail1", orders)
    assert power == done


def test_a_machine_that_does_not_boot_is_on_by_its_bmcs_word_alone(cluster, power):
    bmc.keep_off(NODE)
    assert status_of("mail1") == "power:0\n"
    bmc.obey("mail1", ["power", "1"])
    assert (status_of("mail1"), power) == ("power:1\n", [])
    bmc.obey("mail1", ["power", "0"])
    assert (status_of("mail1"), power) == ("power:0\n", ["mail1 off"])
    bmc.let_boot("mail1")
    bmc.obey("mail1", ["power", "1"])
    assert power == ["mail1 off", "mail1 on"]


def test_a_node_without_one_is_refused(cluster):
    with pytest.raises(LabError, match="lab_bmc"):
        bmc.pause(Node("a1", "198.51.100.32", (), None, "vm"))
