"""What an inventory says about the lab: its nodes, their addresses, the VIP, the users."""

from __future__ import annotations

import ipaddress
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labtool import paths
from labtool.environment import environment
from labtool.system import LabError, run

IMPLIED_GROUPS = ("all", "ungrouped")
# Nodes for user databases, which a real site already has.
DATABASES = ("lab_ldap", "lab_pgsql", "lab_mysql", "lab_sqlite")
# Nodes that share a disk, whose file system a real site already has.
CLUSTER_FILESYSTEMS = ("lab_ocfs2",)
# Nodes with a volume of their own, by LVM.
VOLUMES = ("lab_lvm",)
# A node that is a SAN, and those with a disk there.
ISCSI = ("lab_iscsi_targets", "lab_iscsi")
# The way that mail goes.
TIERS = (
    *("dovecot_loadbalancers", "dovecot_proxies", "dovecot_directors", "dovecot_backends", "dovecot_nfs_servers"),
    *("lab_iscsi_targets", *DATABASES),
)
# What a cluster serves that does not say it.
PROTOCOLS = ("imap", "pop3", "lmtp", "sieve")
# The values of lab_node. The first is the default.
KINDS = ("container", "vm")


@dataclass(frozen=True)
class Disk:
    """An additional disk of a virtual machine. A shared one is the same disk for all nodes that name it."""

    name: str
    size: str
    shared: bool


@dataclass(frozen=True)
class Node:
    name: str
    address: str
    groups: tuple[str, ...]
    partition: str | None
    kind: str
    disks: tuple[Disk, ...] = ()
    bmc: int | None = None  # UDP port of the lab machine at which its power is switched by IPMI
    watchdog: bool = False  # resets the machine, which then starts again


@dataclass(frozen=True)
class User:
    name: str
    partition: str | None


@dataclass(frozen=True)
class Cluster:
    variant: str
    inventory: Path
    nodes: tuple[Node, ...]
    network: ipaddress.IPv4Network
    vip: str | None
    users: tuple[User, ...]
    protocols: tuple[str, ...] = PROTOCOLS

    def members(self, group: str) -> list[Node]:
        return [node for node in self.nodes if group in node.groups]

    def of_kind(self, kind: str) -> list[Node]:
        return [node for node in self.nodes if node.kind == kind]

    def may_hold_vip(self, node: Node) -> bool:
        """The load balancers; without any, and without directors, the nodes of a pair, or those of which one is active."""
        return self.vip is not None and self._holders in node.groups

    @property
    def _holders(self) -> str | None:
        """The group of those that may have the VIP."""
        if self.members("dovecot_loadbalancers"):
            return "dovecot_loadbalancers"
        if self.members("dovecot_directors"):
            return None
        if self.members("dovecot_replicated"):
            return "dovecot_replicated"
        return None if self.members("dovecot_proxies") else "dovecot_active_passive"

    @property
    def gateway(self) -> str:
        """The lab machine's own address on the nodes' network."""
        return str(self.network[1])

    @property
    def entry(self) -> str:
        """Where clients connect: the VIP, or if there is none, the first node that accepts logins."""
        if self.vip:
            return self.vip
        for group in ("dovecot_proxies", "dovecot_directors", "dovecot_backends"):
            if members := self.members(group):
                return members[0].address
        return self.nodes[0].address


def variants() -> list[str]:
    return sorted(path.parent.name for path in paths.INVENTORIES.glob("*/hosts.yml"))


def path_of(variant: str) -> Path:
    path = paths.INVENTORIES / variant / "hosts.yml"
    if variant not in variants():
        raise LabError(f"There is no cluster variant {variant!r}: no file {path}.\nVariants: {', '.join(variants()) or '(none)'}")
    return path


def load(variant: str) -> Cluster:
    path = path_of(variant)
    result = run([paths.VENV / "bin" / "ansible-inventory", "-i", path, "--list"], env=environment(path), timeout=120)
    return parse(variant, path, json.loads(result.stdout))


def parse(variant: str, path: Path, listing: dict[str, Any]) -> Cluster:
    """Read the output of ``ansible-inventory --list``."""
    hostvars: dict[str, dict[str, Any]] = listing.get("_meta", {}).get("hostvars", {})
    if not hostvars:
        raise LabError(f"The inventory {path} has no hosts.")
    nodes = tuple(_node(path, name, values, _groups_of(listing, name)) for name, values in sorted(hostvars.items()))
    _refuse_duplicates(path, nodes)
    _refuse_shared_bmcs(path, nodes)
    _refuse_differing_disks(path, nodes)
    network, vip = _network(path, hostvars, nodes)
    order = {name: place for place, name in enumerate(_order(listing))}
    return Cluster(
        variant=variant,
        inventory=path,
        nodes=tuple(sorted(nodes, key=lambda node: order.get(node.name, len(order)))),
        network=network,
        vip=vip,
        users=_users(path, hostvars),
        protocols=_protocols(hostvars),
    )


def _node(path: Path, name: str, values: dict[str, Any], groups: tuple[str, ...]) -> Node:
    address = values.get("ansible_host")
    try:
        ipaddress.IPv4Address(address)
    except (ipaddress.AddressValueError, TypeError):
        raise LabError(
            f"{path}: host {name} has ansible_host {address!r}. It must be an IPv4 address,"
            " because the lab gives nodes the addresses of the inventory."
        ) from None
    kind = values.get("lab_node", KINDS[0])
    if kind not in KINDS:
        raise LabError(f"{path}: host {name} has lab_node {kind!r}. Possible values: {', '.join(KINDS)}.")
    partition = values.get("dovecot_partition")
    return Node(
        name,
        str(address),
        groups,
        None if partition is None else str(partition),
        kind,
        disks=_disks(path, name, kind, values),
        bmc=_bmc(path, name, kind, values),
        watchdog=_watchdog(path, name, kind, values),
    )


def _disks(path: Path, host: str, kind: str, values: dict[str, Any]) -> tuple[Disk, ...]:
    """Its own disks first, in the inventory's order: /dev/ubdb, /dev/ubdc, ..."""
    own, shared = values.get("lab_disks") or [], values.get("lab_shared_disks") or {}
    if not isinstance(own, list) or not isinstance(shared, dict):
        raise LabError(f"{path}: host {host}: lab_disks must be a list of sizes, lab_shared_disks a mapping of names to sizes.")
    disks = tuple(Disk(f"disk{number}", str(size), False) for number, size in enumerate(own, 1)) + tuple(
        Disk(str(name), str(size), True) for name, size in shared.items()
    )
    if disks and kind != "vm":
        raise LabError(f"{path}: host {host} has disks, but is a container. Set lab_node: vm.")
    for disk in disks:
        if not re.fullmatch(r"[1-9][0-9]*[MG]", disk.size) or not re.fullmatch(r"[a-z0-9-]+", disk.name):
            raise LabError(
                f"{path}: host {host} has a disk {disk.name!r} of size {disk.size!r}."
                " A size is a number with M or G (512M). A name consists of lowercase letters, digits and hyphens."
            )
    return disks


def _bmc(path: Path, host: str, kind: str, values: dict[str, Any]) -> int | None:
    port = values.get("lab_bmc")
    if port is None:
        return None
    if type(port) is not int or not 0 < port < 1 << 16:
        raise LabError(f"{path}: host {host} has lab_bmc {port!r}. It is the number of a UDP port, from 1 to 65535.")
    if kind != "vm":
        raise LabError(f"{path}: host {host} has lab_bmc {port}, but is a container, which has no power. Give it lab_node: vm.")
    return port


def _watchdog(path: Path, host: str, kind: str, values: dict[str, Any]) -> bool:
    wanted = values.get("lab_watchdog", False)
    if type(wanted) is not bool:
        raise LabError(f"{path}: host {host} has lab_watchdog {wanted!r}. It is true or false.")
    if wanted and kind != "vm":
        raise LabError(f"{path}: host {host} has lab_watchdog, but is a container, which cannot be reset. Give it lab_node: vm.")
    return wanted


def _groups_of(listing: dict[str, Any], host: str) -> tuple[str, ...]:
    """All groups of a host, including their parents."""
    found = {group for group, content in listing.items() if group != "_meta" and host in content.get("hosts", [])}
    grown = True
    while grown:
        above = {
            group for group, content in listing.items() if group != "_meta" and found.intersection(content.get("children", []))
        }
        grown = not above <= found
        found |= above
    return tuple(sorted(found.difference(IMPLIED_GROUPS)))


def _order(listing: dict[str, Any]) -> list[str]:
    """Hosts in the order of their tiers."""
    names: list[str] = []
    for group in TIERS:
        pending = [group]
        while pending:
            content = listing.get(pending.pop(0), {})
            names += [host for host in content.get("hosts", []) if host not in names]
            pending += content.get("children", [])
    return names


def _refuse_duplicates(path: Path, nodes: tuple[Node, ...]) -> None:
    seen: dict[str, str] = {}
    for node in nodes:
        if node.address in seen:
            raise LabError(f"{path}: hosts {seen[node.address]} and {node.name} have the same ansible_host {node.address}.")
        seen[node.address] = node.name


def _refuse_shared_bmcs(path: Path, nodes: tuple[Node, ...]) -> None:
    seen: dict[int, str] = {}
    for node in nodes:
        if node.bmc in seen:
            raise LabError(f"{path}: hosts {seen[node.bmc]} and {node.name} have the same lab_bmc {node.bmc}.")
        if node.bmc:
            seen[node.bmc] = node.name


def _refuse_differing_disks(path: Path, nodes: tuple[Node, ...]) -> None:
    sizes: dict[str, tuple[str, str]] = {}
    for node in nodes:
        for disk in node.disks:
            host, size = sizes.setdefault(disk.name, (node.name, disk.size)) if disk.shared else (node.name, disk.size)
            if size != disk.size:
                raise LabError(
                    f"{path}: the shared disk {disk.name} has {size} on host {host} and {disk.size} on host {node.name}."
                    " It is one disk: give it one size."
                )


def _network(
    path: Path, hostvars: dict[str, dict[str, Any]], nodes: tuple[Node, ...]
) -> tuple[ipaddress.IPv4Network, str | None]:
    values = next(iter(hostvars.values()))
    vip_text, network_text = values.get("dovecot_vip"), values.get("lab_network")
    try:
        vip = ipaddress.IPv4Interface(vip_text) if vip_text else None
        if network_text:
            network = ipaddress.IPv4Network(network_text)
        elif vip and vip.network.num_addresses > 2:
            network = vip.network
        else:
            raise LabError(
                f"{path}: the lab does not know the nodes' network."
                " Set dovecot_vip with its prefix (198.51.100.10/24) or lab_network (198.51.100.0/24)."
            )
    except ValueError as error:
        raise LabError(f"{path}: dovecot_vip {vip_text!r} or lab_network {network_text!r} is no IPv4 network: {error}.") from None
    for node in nodes:
        if ipaddress.IPv4Address(node.address) not in network:
            raise LabError(f"{path}: host {node.name} has the address {node.address}, outside the lab's network {network}.")
        if node.address == str(network[1]):
            raise LabError(
                f"{path}: host {node.name} has the address {node.address}, which the lab needs for this machine on {network}."
            )
    return network, str(vip.ip) if vip else None


def _protocols(hostvars: dict[str, dict[str, Any]]) -> tuple[str, ...]:
    return tuple(next((found for values in hostvars.values() if (found := values.get("dovecot_protocols"))), PROTOCOLS))


def _users(path: Path, hostvars: dict[str, dict[str, Any]]) -> tuple[User, ...]:
    """The users of dovecot_users, and those that the lab writes into a user database."""
    listed: list[Any] = []
    for variable in ("dovecot_users", "lab_users"):
        found: Any = next((values[variable] for values in hostvars.values() if variable in values), [])
        if not isinstance(found, list):
            raise LabError(f"{path}: {variable} must be a list with name and partition. The lab cannot evaluate a template.")
        listed += found
    return tuple(
        User(str(entry["name"]), None if entry.get("partition") is None else str(entry["partition"])) for entry in listed
    )
