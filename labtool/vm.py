"""Nodes that are virtual machines, for what needs its own kernel.

The kernel is User Mode Linux, a group of ordinary processes. Nothing is emulated, and KVM is not needed. But starting a process
is slow: 20 ms instead of 3.
"""

from __future__ import annotations

import fcntl
import ipaddress
import json
import os
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from labtool import network, paths, processes, vm_image, vm_kernel
from labtool.inventory import Cluster, Disk, Node
from labtool.system import LabError, run, say

PROGRAM = "linux.uml"
MEMORY = "768M"  # allocated as it is used
TAP_PREFIX = "mclab-"  # an interface's name is limited to 15 characters
RECORD = "machine.json"
# A kernel that starts itself again would not get its network. What it has left in its folder makes the next one look elsewhere.
AGAIN = 'while rm -rf "$0"; setsid "$@"; do :; done'


@dataclass(frozen=True)
class Machine:
    """A virtual machine of the lab, running or not, as recorded in its folder."""

    name: str
    root: str
    variant: str
    fingerprint: str
    command: list[str]

    @property
    def running(self) -> bool:
        return bool(_processes(folder(self.name)))


def folder(name: str) -> Path:
    return paths.VM_NODES / name


def console(name: str) -> Path:
    """The machine's boot messages."""
    return folder(name) / "console.log"


def machines() -> list[Machine]:
    """All virtual machines of the lab, whichever checkout they belong to."""
    return [Machine(**json.loads(file.read_text())) for file in sorted(paths.VM_NODES.glob(f"*/{RECORD}"))]


def machine(name: str) -> Machine:
    found = next((machine for machine in machines() if machine.name == name), None)
    if found is None:
        raise LabError(f"The virtual machine {name} no longer exists on this machine: there is no file {folder(name) / RECORD}.")
    return found


def create(cluster: Cluster, node: Node, image: str, fingerprint: str, public_key: str) -> None:
    """Create a node's disks and its interface on the bridge, and start it."""
    folder(node.name).mkdir(parents=True)
    for disk in node.disks:
        _make_disk(disk_file(node, disk), disk)
    mtu = network.current_mtu()
    _plug_in(tap(node.address), mtu)
    arguments = kernel_arguments(cluster, node, public_key, mtu, network.nameservers())
    words = [*(again(node) if node.watchdog else ()), *bound(node), *command(node, Path(image), arguments)]
    made = Machine(node.name, str(paths.ROOT), cluster.variant, fingerprint, words)
    _record(made)
    start(made)


def again(node: Node) -> list[str]:
    """What comes before the command of a machine that starts again when its watchdog has reset it: until it is killed."""
    return ["sh", "-c", AGAIN, str(folder(node.name) / "uml")]


def bound(node: Node) -> list[str]:
    """What comes before a machine's command, to bind it to one processor. Its processes take turns at each call to its kernel: on
    one processor, that takes half to three quarters of the time that it takes on two."""
    cores = sorted(os.sched_getaffinity(0))
    return ["taskset", "--cpu-list", str(cores[int(ipaddress.IPv4Address(node.address)) % len(cores)])]


def disk_file(node: Node, disk: Disk) -> Path:
    """The file of a disk. Shared disks are in a folder of their own."""
    return (paths.VM_DISKS if disk.shared else folder(node.name)) / f"{disk.name}.img"


def _make_disk(file: Path, disk: Disk) -> None:
    """Create an empty disk. It takes space only for what is written."""
    file.parent.mkdir(parents=True, exist_ok=True)
    if not file.exists():
        run(["truncate", f"--size={disk.size}", file])


def _record(made: Machine) -> None:
    file = folder(made.name) / RECORD
    draft = file.with_suffix(".new")
    draft.write_text(json.dumps(asdict(made), indent=2) + "\n")
    draft.rename(file)


def command(node: Node, image: Path, arguments: Sequence[str]) -> list[str]:
    """The command that starts a machine. Its processes are found by the folder in it."""
    place = folder(node.name)
    # c: several machines may open it. What a guest has synced is at least in this machine's page cache.
    disks = [f"ubd{number}{'c' if disk.shared else ''}={disk_file(node, disk)}" for number, disk in enumerate(node.disks, 1)]
    return [
        str(vm_kernel.program(vm_kernel.folder())),
        *(f"mem={MEMORY}", f"umid={node.name}", f"uml_dir={place / 'uml'}"),
        *(f"ubd0={place / 'root.cow'},{vm_image.disk(image)}", *disks),
        # Without gro, traffic into the machine is a thousand times slower.
        f"vec0:transport=tap,ifname={tap(node.address)},depth=128,gro=1,mac={network.mac(node.address)}",
        *("con0=fd:0,fd:1", "con=null", "ssl=null"),
        *arguments,
    ]


def kernel_arguments(cluster: Cluster, node: Node, public_key: str, mtu: int, dns: Sequence[str]) -> list[str]:
    """How to boot, and the settings for lab-identity in the image."""
    words = {
        "lab.name": node.name,
        "lab.address": f"{node.address}/{cluster.network.prefixlen}",
        "lab.gateway": cluster.gateway,
        "lab.mtu": str(mtu),
        "lab.dns": ",".join(dns),
        "lab.key": ",".join(public_key.split()[:2]),
    }
    # If the kernel panics, its process must end, so that the lab notices.
    boot = ("root=/dev/ubda", "rw", "quiet", "systemd.show_status=true", "panic=-1", "noreboot")
    return [*boot, f"lab.watchdog={node.watchdog:d}", *(f"{key}={value}" for key, value in words.items())]


def tap(address: str) -> str:
    return TAP_PREFIX + ipaddress.IPv4Address(address).packed.hex()


def _plug_in(interface: str, mtu: int) -> None:
    run(["ip", "tuntap", "add", "dev", interface, "mode", "tap"])
    run(["ip", "link", "set", interface, "mtu", str(mtu), "master", paths.BRIDGE, "up"])


def start(machine: Machine) -> None:
    """Switch it on, unless it is."""
    if machine.running:
        return
    # What a kill has left there makes the kernel look for itself elsewhere.
    run(["rm", "-rf", folder(machine.name) / "uml"])
    # Its memory belongs in /dev/shm.
    settings = {name: value for name, value in os.environ.items() if name not in ("TMPDIR", "TMP", "TEMP")}
    with console(machine.name).open("a") as log:
        # All of the machine's processes hold this lock, by which its BMC sees at once whether it is on.
        fcntl.flock(log, fcntl.LOCK_SH)
        # In a group of its own, by which its main process is known, and out of the terminal's reach.
        process = subprocess.Popen(
            machine.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/", env=settings, start_new_session=True
        )
    time.sleep(0.2)
    if process.poll() is not None:
        raise LabError(f"The virtual machine {machine.name} does not start:\n{console(machine.name).read_text()[-500:]}")


def kill(name: str) -> None:
    """Cut its power."""
    _kill_all(folder(name))


def pause(name: str) -> None:
    """Make it hang. Only the main process is stopped: the guest would panic if the others were stopped too."""
    for pid in _main(_processes(folder(name))):
        os.kill(pid, signal.SIGSTOP)


def resume(name: str) -> None:
    for pid in _main(_processes(folder(name))):
        os.kill(pid, signal.SIGCONT)


def remove() -> list[str]:
    """Remove all virtual machines of the lab, with disks and network interfaces, even if only parts of them are left."""
    taps = network.interfaces(TAP_PREFIX)
    count = max(len(list(paths.VM_NODES.glob("*"))), len(_main(_processes(paths.VM_NODES))), len(taps))
    if not count and not paths.VM_DISKS.exists():
        return []
    say(f"Removing {count} virtual machines")
    _kill_all(paths.VM_NODES)
    for interface in taps:
        run(["ip", "link", "delete", interface], check=False)
    run(["rm", "-rf", paths.VM_NODES, paths.VM_DISKS])
    return [f"{count} virtual machines"]


def _processes(place: Path) -> list[int]:
    """All processes of the machines below a folder."""
    return [pid for pid, words in processes.command_lines() if runs_from(words, place)]


def runs_from(words: Sequence[str], place: Path) -> bool:
    """Whether a command is a machine's, or the loop around it."""
    return (Path(words[0]).name == PROGRAM or AGAIN in words) and any(f"={place}/" in word for word in words)


def _main(pids: list[int]) -> list[int]:
    """The main process of each machine. The others are its helpers."""
    return [pid for pid in pids if processes.leads_its_group(pid)]


def _kill_all(place: Path) -> None:
    deadline = time.monotonic() + 10
    while found := _processes(place):
        # The main process first: without its helpers, a machine would panic, and write that to its console.
        for pid in sorted(found, key=lambda pid: not processes.leads_its_group(pid)):
            processes.kill(pid)
        if time.monotonic() > deadline:
            raise LabError(f"These processes of virtual machines do not end: pid {', '.join(map(str, found))}.")
        time.sleep(0.05)
