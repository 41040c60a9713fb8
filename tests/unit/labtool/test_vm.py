"""How a virtual machine is started, told who it is, given its disks, and found again."""

from __future__ import annotations

import dataclasses
import ipaddress
import json
import subprocess
import time
from pathlib import Path

import pytest

from labtool import network, nodes, packages, paths, vm, vm_image, vm_kernel
from labtool.inventory import Cluster, Disk, Node
from labtool.system import LabError

KEY = "ssh-ed25519 AAAAC3Nz mailcluster-lab"
NODE = Node("nfs1", "198.51.100.61", ("dovecot_cluster",), None, "vm")
WEB = Node("a1", "198.51.100.31", ("dovecot_cluster",), "a", "container")


def cluster(*members):
    lan = ipaddress.IPv4Network("198.51.100.0/24")
    return Cluster("test", Path("inventories/test/hosts.yml"), members, lan, None, ())


@pytest.fixture
def own_store(monkeypatch, tmp_path):
    monkeypatch.setattr(paths, "VM_IMAGES", tmp_path / "images")
    monkeypatch.setattr(paths, "VM_NODES", tmp_path / "nodes")
    monkeypatch.setattr(paths, "VM_DISKS", tmp_path / "disks")
    monkeypatch.setattr(paths, "VM_KERNELS", tmp_path / "kernels")
    return tmp_path


def record(name, **changes):
    place = vm.folder(name)
    place.mkdir(parents=True)
    values = {"name": name, "root": "/srv/checkout", "variant": "test", "fingerprint": "f00", "command": ["true"]}
    (place / vm.RECORD).write_text(json.dumps(values | changes))


def test_the_kernel_is_told_who_the_machine_is():
    words = vm.kernel_arguments(cluster(NODE), NODE, KEY, 1400, ["192.0.2.53", "192.0.2.54"])
    assert words[-6:] == [
        "lab.name=nfs1",
        "lab.address=198.51.100.61/24",
        "lab.gateway=198.51.100.1",
        "lab.mtu=1400",
        "lab.dns=192.0.2.53,192.0.2.54",
        "lab.key=ssh-ed25519,AAAAC3Nz",
    ]
    assert {"root=/dev/ubda", "rw", "noreboot", "lab.watchdog=0"} < set(words)


def test_a_machine_with_a_watchdog_is_told_so():
    watched = dataclasses.replace(NODE, watchdog=True)
    assert "lab.watchdog=1" in vm.kernel_arguments(cluster(watched), watched, KEY, 1500, [])


def test_a_machine_with_a_watchdog_starts_again_until_it_is_killed(own_store, tmp_path):
    """Its kernel ends well twice, as when it was reset, and is then killed."""
    starts = tmp_path / "starts"
    kernel = f'echo >>{starts}; [ "$(wc -l <{starts})" -lt 3 ] || kill -KILL $$'
    subprocess.run([*vm.again(NODE), "sh", "-c", kernel], check=False, timeout=20)
    assert starts.read_text().count("\n") == 3


def test_the_loop_around_a_machine_is_found_with_it(own_store):
    words = [*vm.again(NODE), "linux.uml", f"uml_dir={vm.folder(NODE.name) / 'uml'}"]
    assert vm.runs_from(words, vm.folder(NODE.name)) and not vm.runs_from(words, vm.folder("other"))


def test_what_the_kernel_is_told_is_what_the_image_asks_for():
    told = {word.partition("=")[0] for word in vm.kernel_arguments(cluster(NODE), NODE, KEY, 1500, [])}
    asked = {line.strip().partition("=")[0] for line in vm_image.IDENTITY.splitlines() if line.strip().startswith("lab.")}
    assert asked == {word for word in told if word.startswith("lab.")}


def test_the_command_line_names_kernel_disk_network_and_who_it_is():
    words = vm.command(NODE, Path("/images/1"), ["rw", "lab.name=nfs1"])
    place = paths.VM_NODES / "nfs1"
    assert words[0] == f"{vm_kernel.folder()}/linux.uml"
    assert {f"ubd0={place}/root.cow,/images/1/disk.img", f"uml_dir={place}/uml", "umid=nfs1"} < set(words)
    assert f"vec0:transport=tap,ifname=mclab-c633643d,depth=128,gro=1,mac={network.mac(NODE.address)}" in words
    assert words[-2:] == ["rw", "lab.name=nfs1"]


def test_machines_whose_addresses_follow_each_other_are_bound_to_different_processors(monkeypatch):
    monkeypatch.setattr("os.sched_getaffinity", lambda _pid: {2, 3})
    words = [vm.bound(Node(f"a{number}", f"198.51.100.{number}", (), None, "vm")) for number in (31, 32, 33)]
    assert words == [["taskset", "--cpu-list", core] for core in ("3", "2", "3")]


def test_disks_come_after_the_root_disk_in_their_order_and_a_shared_one_is_shared():
    disks = (Disk("disk1", "1G", False), Disk("san", "2G", True))
    words = vm.command(Node("a1", "198.51.100.31", (), None, "vm", disks), Path("/images/1"), [])
    assert f"ubd1={paths.VM_NODES}/a1/disk1.img" in words
    assert f"ubd2c={paths.VM_DISKS}/san.img" in words


def test_a_machine_is_found_by_its_folder_and_no_other_is():
    words = vm.command(NODE, Path("/images/1"), [])
    assert vm.runs_from(words, vm.folder("nfs1"))
    assert vm.runs_from(words, paths.VM_NODES)
    assert not vm.runs_from(words, vm.folder("nfs"))
    assert not vm.runs_from(["linux.uml", "uml_dir=/srv/own/uml"], paths.VM_NODES)
    assert not vm.runs_from(["tail", f"--file={vm.console('nfs1')}"], paths.VM_NODES)


def test_names_of_interfaces_fit():
    assert len(vm.tap("255.255.255.255")) <= 15


def test_name_servers_that_only_this_machine_can_ask_are_left_out():
    text = "# by hand\nnameserver 127.0.0.53\nnameserver ::1\nnameserver 192.0.2.53\nnameserver fe80::1%eth0\n"
    assert network.nameservers_of(text) == ["192.0.2.53", "fe80::1%eth0"]


def test_machines_are_known_by_their_records(own_store):
    assert vm.machines() == []
    record("nfs2")
    record("nfs1", fingerprint="f01")
    assert [(machine.name, machine.fingerprint, machine.running) for machine in vm.machines()] == [
        ("nfs1", "f01", False),
        ("nfs2", "f00", False),
    ]
    assert vm.machine("nfs2").variant == "test"
    with pytest.raises(LabError, match="nfs3"):
        vm.machine("nfs3")


def test_a_lab_of_virtual_machines_only_has_an_owner(own_store, monkeypatch):
    monkeypatch.setattr(nodes, "containers", lambda: [])
    assert nodes.owner() is None
    record("nfs1")
    assert nodes.owner() == ("/srv/checkout", "test")


def test_another_image_or_another_kind_makes_another_node():
    images = {"container": "image:1", "vm": "/images/1"}
    prints = {
        nodes.fingerprint(cluster(WEB, NODE), images, KEY),
        nodes.fingerprint(cluster(WEB, NODE), images | {"vm": "/images/2"}, KEY),
        nodes.fingerprint(cluster(WEB, Node("nfs1", NODE.address, NODE.groups, None, "container")), images, KEY),
        nodes.fingerprint(cluster(WEB, NODE), images, "ssh-ed25519 other"),
    }
    assert len(prints) == 4
    assert nodes.fingerprint(cluster(WEB, NODE), dict(reversed(images.items())), KEY) in prints


def test_the_image_is_named_after_its_recipe(own_store, monkeypatch):
    before = vm_image.folder()
    assert before == vm_image.folder()
    monkeypatch.setattr(vm_image, "SIZE", "5G")
    assert vm_image.folder() != before


def test_only_images_of_other_recipes_are_removed(own_store):
    for place in (vm_image.folder(), paths.VM_IMAGES / "draft", paths.VM_IMAGES / "0123456789ab"):
        place.mkdir(parents=True)
    vm_image.remove_others()
    assert list(paths.VM_IMAGES.iterdir()) == [vm_image.folder()]


def test_packages_count_as_there_only_when_they_are_installed():
    listed = "installed make\nnot-installed flex\nconfig-files e2fsprogs\n"
    assert packages.missing(listed, ("make", "flex", "e2fsprogs", "unheard-of")) == ["flex", "e2fsprogs", "unheard-of"]


def test_the_clock_is_set_by_what_another_kernel_tells(monkeypatch):
    told = []
    monkeypatch.setattr("time.clock_settime", lambda _clock, seconds: told.append(seconds))
    monkeypatch.setattr("sys.argv", ["lab-clock", "127.0.0.1"])
    exec(vm_image.CLOCK, {})
    assert told == [pytest.approx(time.time(), abs=0.5)]
    # of a clock that is wrong by hours
    real = time.time
    monkeypatch.setattr("time.time", lambda: real() + 7200)
    exec(vm_image.CLOCK, {})
    assert told[1] == pytest.approx(real(), abs=0.5)


def test_a_machine_that_runs_is_not_started_again(own_store, monkeypatch):
    record("nfs1")
    monkeypatch.setattr(vm, "_processes", lambda place: [1])
    vm.start(vm.machine("nfs1"))
    assert not vm.console("nfs1").exists()
