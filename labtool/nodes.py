"""The nodes: made, found again, waited for, and removed with all their remains."""

from __future__ import annotations

import hashlib
import socket
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from labtool import bmc, cgroups, kernel, network, paths, processes, vm
from labtool.environment import forget_connections, ssh
from labtool.inventory import Cluster, Node
from labtool.podman import command, containers, limits, podman
from labtool.system import LabError, run, say, unmount_below

T = TypeVar("T")
R = TypeVar("R")

LABEL_ROOT = "mailcluster.lab.root"
LABEL_VARIANT = "mailcluster.lab.variant"
LABEL_PRINT = "mailcluster.lab.fingerprint"

# Seconds. A single virtual machine boots in a dozen, but many at a time share the processors.
BOOT_TIMEOUT = 180
ANSWER_TIMEOUT = 15


@dataclass(frozen=True)
class Present:
    """A node on this machine, of any kind and any checkout."""

    name: str
    root: str
    variant: str
    fingerprint: str
    running: bool


def in_parallel(function: Callable[[T], R], items: Iterable[T]) -> list[R]:
    with ThreadPoolExecutor(max_workers=8) as pool:
        return list(pool.map(function, items))


def create(cluster: Cluster, images: Mapping[str, str]) -> None:
    """Start the nodes, and wait until all can be reached. The images are given by kind of node."""
    key = ensure_key()
    wanted = fingerprint(cluster, images, key)
    containers, machines = cluster.of_kind("container"), cluster.of_kind("vm")
    name = network.create(cluster.network) if containers else ""
    if machines:
        network.make_bridge(cluster.network)
    kernel.raise_limits()
    say(f"Starting {len(cluster.nodes)} nodes on {cluster.network}")
    for machine in machines:
        vm.create(cluster, machine, images["vm"], wanted, key)
    in_parallel(lambda node: _start(cluster, node, name, images["container"], wanted), containers)
    _await_ssh(cluster.nodes)


def serve_on(cluster: Cluster, images: Mapping[str, str]) -> bool:
    """Whether the nodes of an earlier run are exactly those that are wanted, and all answer."""
    wanted = fingerprint(cluster, images, ensure_key())
    found = present()
    if {node.name for node in found} != {node.name for node in cluster.nodes}:
        return False
    if cluster.of_kind("container") and cgroups.needed() and not cgroups.holders():
        return False
    if any(node.fingerprint != wanted or not node.running for node in found):
        return False
    return all(in_parallel(answers, cluster.nodes))


def repair() -> None:
    """Remove what an earlier lab left if podman can no longer work with it.

    This happens on a copy of a machine whose lab was up: podman's records exist, but not the nodes and their networks.
    """
    try:
        lost = not containers() and bool(processes.monitors())
    except LabError:
        lost = True
    if lost:
        remove()


def ensure_key() -> str:
    """The public key that nodes accept. The key is created once per checkout."""
    public = paths.SSH_KEY.with_suffix(".pub")
    if not (paths.SSH_KEY.exists() and public.exists()):
        paths.SSH_KEY.parent.mkdir(parents=True, exist_ok=True)
        paths.SSH_KEY.unlink(missing_ok=True)
        run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "mailcluster-lab", "-f", paths.SSH_KEY])
    return public.read_text().strip()


def fingerprint(cluster: Cluster, images: Mapping[str, str], public_key: str) -> str:
    """A hash of everything that nodes are made from. If it is the same, the nodes are the same."""
    parts = [str(paths.ROOT), *(images[kind] for kind in sorted(images)), public_key, str(cluster.network)]
    parts += [f"{node.name}={node.address} {node.kind} {node.disks}" for node in cluster.nodes]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def answers(node: Node) -> bool:
    """Whether the node can run a command."""
    try:
        return run([*ssh(node.address), "true"], check=False, timeout=ANSWER_TIMEOUT).returncode == 0
    except LabError:
        return False


def _start(cluster: Cluster, node: Node, network_name: str, image: str, wanted: str) -> None:
    try:
        podman(
            "run",
            "--detach",
            "--pull=never",
            f"--name={node.name}",
            f"--hostname={node.name}",
            f"--network={network_name}",
            f"--ip={node.address}",
            # The same after a restart, as on a real machine. Otherwise, its neighbours cannot reach it for seconds.
            f"--mac-address={network.mac(node.address)}",
            "--systemd=always",
            # Needed for its firewall, VRRP and the sandboxes of systemd units.
            "--privileged",
            "--pids-limit=-1",
            *limits(),
            f"--volume={paths.SSH_KEY.with_suffix('.pub')}:/root/.ssh/authorized_keys:ro",
            f"--label={LABEL_ROOT}={paths.ROOT}",
            f"--label={LABEL_VARIANT}={cluster.variant}",
            f"--label={LABEL_PRINT}={wanted}",
            image,
        )
    except LabError as error:
        raise LabError(f"Node {node.name} ({node.address}) does not start.\n{error}") from None


def _await_ssh(nodes: tuple[Node, ...]) -> None:
    begin = look = time.monotonic()
    waiting = list(nodes)
    while waiting:
        # First see whether the port is open: that is faster than an ssh that fails.
        ready = [node for node, open_ in zip(waiting, in_parallel(_listens, waiting), strict=True) if open_]
        ready = [node for node, answer in zip(ready, in_parallel(answers, ready), strict=True) if answer]
        for node in ready:
            say(f"  {node.name} ({node.address}) is up")
            waiting.remove(node)
        if time.monotonic() > look:
            # At most once a second, because it reads all processes.
            _refuse_dead(waiting)
            look = time.monotonic() + 1
        _refuse_late(waiting, time.monotonic() - begin)
        time.sleep(0.1)


def _refuse_dead(waiting: list[Node]) -> None:
    """A kernel that has panicked has ended, and need not be waited for. One that ends by its BMC may be switched on again."""
    for node in waiting:
        if node.kind == "vm" and not node.bmc and not vm.machine(node.name).running:
            end = vm.console(node.name).read_text(errors="replace")[-1000:]
            raise LabError(f"Node {node.name} ({node.address}) has ended while booting. Its last output:\n{end}")


def _refuse_late(waiting: list[Node], seconds: float) -> None:
    if waiting and seconds > BOOT_TIMEOUT:
        names = ", ".join(f"{node.name} ({node.address})" for node in waiting)
        says = " ".join(map(str, _journal(waiting[0])))
        raise LabError(f"No ssh after {BOOT_TIMEOUT} s on: {names}.\nTo see the node's log: {says}")


def kill(node: Node) -> None:
    """Cut a node's power."""
    if node.kind == "vm":
        vm.kill(node.name)
    else:
        podman("kill", "--signal=KILL", node.name)
        podman("wait", node.name)
    forget_connections()


def start(node: Node) -> None:
    """Start a node that was killed, and wait until it can be reached."""
    if node.kind == "vm":
        bmc.let_boot(node.name)
        vm.start(vm.machine(node.name))
    else:
        podman("start", node.name)
    _await_ssh((node,))


def pause(node: Node) -> None:
    """Make a whole node hang."""
    if node.kind == "vm":
        vm.pause(node.name)
    else:
        podman("pause", node.name)


def resume(node: Node) -> None:
    if node.kind == "vm":
        vm.resume(node.name)
    else:
        podman("unpause", node.name)


def unplug(node: Node) -> None:
    """Pull a node's network cable."""
    _plug(node, connected=False)


def plug_in(node: Node) -> None:
    _plug(node, connected=True)


def _plug(node: Node, *, connected: bool) -> None:
    if node.kind == "vm":
        # Its port of the bridge passes nothing. Without a link, a write fails, which the machine's kernel may repeat for ever.
        network.set_port(_port(node), forwards=connected)
    else:
        network.set_link(_port(node), up=connected)


def part(node: Node) -> None:
    """Let it reach no other node that is parted, too. This machine, the BMCs and the other nodes it reaches still."""
    network.set_isolated(_port(node), isolated=True)


def rejoin(node: Node) -> None:
    network.set_isolated(_port(node), isolated=False)


def _port(node: Node) -> str:
    """The node's port of the bridge."""
    if node.kind == "vm":
        return vm.tap(node.address)
    return network.peer_of("eth0", podman("inspect", "--format={{.State.Pid}}", node.name).stdout.strip())


def _journal(node: Node) -> list[str]:
    if node.kind == "vm":
        return ["tail", "-n", "50", str(vm.console(node.name))]
    return command("exec", node.name, "journalctl", "-b", "--no-pager", "-n", "50")


def _listens(node: Node) -> bool:
    try:
        with socket.create_connection((node.address, 22), timeout=1):
            return True
    except OSError:
        return False


def owner() -> tuple[str, str] | None:
    """Checkout and variant of the lab on this machine, if there is one."""
    found = present()
    return (found[0].root, found[0].variant) if found else None


def present() -> list[Present]:
    """All nodes on this machine, running or not."""
    return [*map(_as_present, containers()), *map(_machine_as_present, vm.machines())]


def _as_present(container: dict[str, Any]) -> Present:
    root, variant, fingerprint = (_label(container, label) for label in (LABEL_ROOT, LABEL_VARIANT, LABEL_PRINT))
    return Present(container["Names"][0], root, variant, fingerprint, container.get("State") == "running")


def _machine_as_present(machine: vm.Machine) -> Present:
    return Present(machine.name, machine.root, machine.variant, machine.fingerprint, running=machine.running)


def _label(container: dict[str, Any], label: str) -> str:
    return (container.get("Labels") or {}).get(label, "unknown")


def remove() -> list[str]:
    """Remove nodes and network, whichever checkout they came from and whatever became of them."""
    # Before the containers: with the last of these podman takes the bridge away, but only when nobody else is on it.
    bmc.remove()
    removed = vm.remove()
    known = processes.containers()
    broken = None
    try:
        found = containers()
        if not found and processes.monitors():
            raise LabError("its nodes are running, but podman does not know them")
        if found:
            whose = _label(found[0], LABEL_ROOT)
            say(f"Removing {len(found)} nodes" + ("" if whose == str(paths.ROOT) else f" of the lab in {whose}"))
            podman("rm", "--force", "--all", "--time=0", "--volumes")
            removed.append(f"{len(found)} nodes")
        removed += network.remove()
    except LabError as error:
        broken = error
    # If podman has lost its state, it takes containers for stopped, and removes them without ending their processes.
    for pid in [*processes.contained(known), *processes.monitors()]:
        processes.kill(pid)
    removed += network.raze()
    if broken:
        say(f"Removing the remains of a broken lab by force ({broken})")
        cgroups.stop()
        removed += ["remains of a broken lab", *remove_storage(paths.PODMAN_ROOT, paths.PODMAN_NETWORKS)]
    forget_connections()
    return removed


def remove_storage(*places: Path) -> list[str]:
    """Remove the folders and podman's state. Mounts below them are undone first, because they would stop the removal."""
    existed = [place for place in places if place.exists()]
    mounted = unmount_below(*places, paths.STATE)
    for place in existed:
        # A disk that someone has mounted for the lab is emptied, and stays mounted.
        run(["rm", "-rf", *(place.iterdir() if place in mounted else [place])])
    run(["rm", "-rf", paths.PODMAN_RUN, paths.PODMAN_TMP])
    return [f"storage {place}" for place in existed]
