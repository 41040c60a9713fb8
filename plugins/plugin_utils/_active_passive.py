# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is declared of active/passive pairs, and what can be wrong with it before a node was asked."""

from __future__ import annotations

import hashlib
import os.path
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypedDict

from ansible_collections.mailcluster.dovecot.plugins.plugin_utils._topology import (
    Groups,
    Topology,
    parse_address,
    parse_interface,
)

GROUP = "dovecot_active_passive"
PREFIX = "dovecot_active_passive_"
ELSEWHERE = {
    "dovecot_replicated": "its mail would be copied twice",
    "dovecot_shared_storage": "only one of its nodes may mount its mail",
    "dovecot_implicit_proxies": "its passive node has no Dovecot that could pass clients on",
}
WITHOUT_FENCING = "both nodes may write to the mail at once and destroy it"
SECRET_LENGTH = 32
# What must be the same on both nodes.
SAME = (
    *("address", "storage", "device", "filesystem", "mount_options", "fencing_delay", "existing_filesystem"),
    "watchdog_timeout",
)
# They take the disk away from a node, and leave it running.
OF_DISKS = ("fence_scsi", "fence_mpath")
# It has each node reset itself, by messages on disks that both see. So both have the same.
BY_MESSAGE = "fence_sbd"
MOST_DISKS = 3


class Fencing(TypedDict):
    """How a node is fenced: an agent of fence-agents with its options."""

    agent: str
    options: dict[str, str]
    accepted: str


class Declared(TypedDict):
    """Of a node."""

    address: str
    storage: str
    device: str
    filesystem: str
    mount_options: list[str]
    fencing: Fencing
    fencing_delay: float
    fence_disks: list[str]
    watchdog: str
    watchdog_timeout: int
    second_address: str
    existing_filesystem: str
    corosync_key: str
    drbd_secret: str
    home: str
    locations: list[tuple[str, str]]


def declared(host: Mapping[str, Any], partition: object) -> Declared:
    """What the topology, the checks and the templates take of I(host), variable -> value."""
    values: dict[str, Any] = {key: host[PREFIX + key] for key in Declared.__annotations__ if PREFIX + key in host}
    # Pairs that share a secret have keys of their own. Corosync takes 128 bytes and more, DRBD 63 at most.
    values["corosync_key"] = hashlib.sha512(f"corosync:{partition}:{host[PREFIX + 'secret']}".encode()).hexdigest()
    values["drbd_secret"] = hashlib.sha256(f"drbd:{partition}:{host[PREFIX + 'secret']}".encode()).hexdigest()[:48]
    fencing = values["fencing"] or {}
    options = {str(name): text(value) for name, value in (fencing.get("options") or {}).items()}
    values["fencing"] = {
        "agent": str(fencing.get("agent") or ""),
        "options": options,
        "accepted": str(fencing.get("accepted") or ""),
    }
    named = [disk.strip() for disk in options.get("devices", "").split(",")]
    values["fence_disks"] = named if values["fencing"]["agent"] == BY_MESSAGE else []
    values["home"] = str(host["dovecot_mail_home"])
    values["locations"] = list(_locations(host))
    return values  # type: ignore[return-value]


def _locations(host: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Where mail is, each with the words that a refusal begins with."""
    yield "dovecot_backend_mail_location:", str(host["dovecot_backend_mail_location"])
    for space in host["dovecot_backend_namespaces"] or ():
        if isinstance(space, Mapping) and space.get("location"):
            yield f"dovecot_backend_namespaces: '{space.get('name')}' has", str(space["location"])


def text(value: object) -> str:
    """As a fence agent takes it: YAML's true is its 1."""
    return str(int(value)) if isinstance(value, bool) else str(value)


def problems(groups: Groups, topology: Topology, pairs: Mapping[str, Declared], vip: object) -> Iterator[str]:
    """Sentences about what is wrong. I(pairs): node -> what is declared of it."""
    nodes = topology["nodes"]
    strays = [name for name in groups.get(GROUP, ()) if name not in nodes]
    if strays:
        yield f"{GROUP}: {', '.join(strays)} not in dovecot_cluster: make {GROUP} one of its children"
    members = [name for name in groups.get(GROUP, ()) if name in nodes]
    yield from _membership(groups, topology, members)
    addresses: dict[str, str] = {}
    for partition, names in topology["partitions"].items():
        pair = [name for name in names if name in members]
        if not pair:
            continue
        yield from _size(partition, names, pair)
        yield from _agreement(partition, {name: pairs[name] for name in pair})
        yield from _address(partition, pairs[pair[0]]["address"], topology, vip, addresses)
        yield from _storage(partition, pairs[pair[0]])
        yield from _outside(partition, pairs[pair[0]])
        for name in pair:
            yield from _fencing(name, pairs[name])
            yield from _second_address(name, pairs, topology)
        yield from _one_fence_for_both(partition, {name: pairs[name] for name in pair})


def _membership(groups: Groups, topology: Topology, members: Sequence[str]) -> Iterator[str]:
    for name in members:
        if "backend" not in topology["nodes"][name]["roles"]:
            yield f"{GROUP}: {name} is no backend: put it into dovecot_backends too"
        for group, words in ELSEWHERE.items():
            if name in groups.get(group, ()):
                yield f"{GROUP}: {name} is in {group} too, but {words}: take it out of one of the two groups"


def _size(partition: str, names: Sequence[str], pair: Sequence[str]) -> Iterator[str]:
    if len(names) != 2 or len(pair) != 2:
        others = sorted(set(names) - set(pair))
        detail = f", of which {', '.join(others)} not in {GROUP}" if others else ""
        yield (
            f"dovecot_partition: partition '{partition}' in {GROUP} has {len(names)} node{'s' if len(names) > 1 else ''} "
            f"({', '.join(names)}{detail}), but exactly two are needed, one of which serves: add or remove nodes, or give "
            "another pair a partition of its own"
        )


def _agreement(partition: str, pair: Mapping[str, Declared]) -> Iterator[str]:
    for key in SAME:
        values = {name: str(node[key]) for name, node in pair.items()}  # type: ignore[literal-required]
        if len(set(values.values())) > 1:
            words = " and ".join(f"'{value}' on {name}" for name, value in values.items())
            yield f"{PREFIX}{key}: differs within partition '{partition}' ({words}): set it once, for the partition's group"


def _address(partition: str, given: str, topology: Topology, vip: object, seen: dict[str, str]) -> Iterator[str]:
    variable, where = f"{PREFIX}address", f"of partition '{partition}'"
    others = topology["loadbalancers"] or topology["directors"] or topology["proxies"]
    if not given:
        yield (
            f"{variable}: {where} is missing: set {'it' if others or len(topology['partitions']) > 1 else 'dovecot_vip'} to the "
            f"service address, which the active node has, as 192.0.2.10/24"
        )
        return
    interface = parse_interface(given)
    if interface is None or interface.version == 6:
        yield f"{variable}: '{given}' {where} is no IPv4 address with its network's prefix: write it as 192.0.2.10/24"
        return
    if topology["vip_holders"] and str(given) == str(vip):
        yield (
            f"{variable}: '{given}' {where} is dovecot_vip, which {', '.join(topology['vip_holders'])} hold: give the partition "
            f"an address of its own"
        )
    other = seen.setdefault(str(interface.ip), partition)
    if other != partition:
        yield f"{variable}: {interface.ip} is the address of partition '{other}' and of '{partition}': give each its own"
    for name, node in topology["nodes"].items():
        address = parse_address(node["address"])
        if address == interface.ip:
            yield f"{variable}: {interface.ip} {where} is the address of {name} too: choose one that no node has of its own"
        elif node["partition"] == partition and address is not None and address not in interface.network:
            yield (
                f"{variable}: '{given}' {where} is in the network {interface.network}, where {name} ({address}) is not: correct "
                f"one of them"
            )


def _storage(partition: str, pair: Declared) -> Iterator[str]:
    if not pair["device"]:
        what = (
            "volume of each node that DRBD uses, as /dev/vg0/mail" if pair["storage"] == "drbd" else "LUN, as /dev/disk/by-id/..."
        )
        yield f"{PREFIX}device: of partition '{partition}' is missing, and nothing is chosen for you: name the {what}"
    elif not _is_device(pair["device"]):
        yield f"{PREFIX}device: '{pair['device']}' of partition '{partition}' is no path of a device: write it as /dev/vg0/mail"
    elif pair["storage"] == "lun" and _may_change(pair["device"]):
        yield (
            f"{PREFIX}device: '{pair['device']}' of partition '{partition}' is a name that may be another disk's after a "
            "restart: use the one in /dev/disk/by-id"
        )


def _is_device(path: str) -> bool:
    """Whether it is written as the path of a device."""
    return bool(re.match(r"/dev/[A-Za-z0-9/_.:+@=-]+\Z", path)) and os.path.normpath(path) == path


def _may_change(path: str) -> bool:
    """Whether a disk's name may be another disk's after a restart."""
    return bool(re.match(r"/dev/(sd|nvme)[a-z0-9]+\Z", path))


def _outside(partition: str, pair: Declared) -> Iterator[str]:
    """Mail that would stay on the node that was active."""
    for words, location in pair["locations"]:
        for path in places(location):
            if not f"{os.path.normpath(path)}/".startswith(f"{os.path.normpath(pair['home'])}/"):
                yield (
                    f"{words} '{location}' with {GROUP}: '{path}' is not below dovecot_mail_home ({pair['home']}), where the "
                    f"file system of partition '{partition}' is mounted, so the other node would not have it: move it below"
                )


def places(location: str) -> Iterator[str]:
    """The absolute paths of a mail_location that have to move with the mail."""
    for part in location.split(":"):
        key, equals, value = part.partition("=")
        path = value if equals and re.match(r"[A-Z]+\Z", key) else part
        if path.startswith("/") and key != "VOLATILEDIR":
            yield path


def _fencing(name: str, pair: Declared) -> Iterator[str]:
    variable, fencing = f"{PREFIX}fencing", pair["fencing"]
    agent = fencing["agent"]
    if not agent:
        yield (
            f"{variable}: of {name} is missing, and without it a node that hangs may write to the mail beside the other: give "
            f"the agent that switches {name} off and its options, as {{agent: fence_ipmilan, options: {{ip: 192.0.2.130, ...}}}}"
        )
    elif agent == "none":
        if pair["storage"] == "lun":
            yield (
                f"{variable}: of {name} is 'none', but nothing else keeps two nodes from mounting one LUN at once, which "
                "destroys the file system: name an agent"
            )
        elif fencing["accepted"] != WITHOUT_FENCING:
            yield (
                f"{variable}: of {name} is 'none': name an agent, or say that you accept it with "
                f'{{agent: none, accepted: "{WITHOUT_FENCING}"}}'
            )
    elif not re.match(r"fence_[a-z0-9_]+\Z", agent):
        yield f"{variable}: the agent '{agent}' of {name} is no name of a fence agent: write it as fence_ipmilan"
    for option, value in fencing["options"].items():
        if not re.match(r"[a-z0-9_-]+\Z", option) or re.search(r"[\x00-\x1f]", value):
            yield f"{variable}: the option '{option}' of {name} has no name or value that an agent could take: correct it"
    if agent == BY_MESSAGE:
        yield from _fence_disks(name, pair)
    if agent in OF_DISKS:
        yield (
            f"{variable}: {agent} of {name} takes the disk away, but a node that is cut off goes on with its service address: "
            "use an agent that switches the node off"
        )


def _fence_disks(name: str, pair: Declared) -> Iterator[str]:
    where, disks = f"{PREFIX}fencing: fence_sbd of {name}", pair["fence_disks"]
    if not any(disks):
        yield f"{where} has no disk: name one that both nodes see, as {{devices: /dev/disk/by-id/...}}. 8 MiB are enough"
        return
    if len(disks) > MOST_DISKS or len(set(disks)) < len(disks):
        yield f"{where} has the disks {', '.join(disks)}: sbd takes one to {MOST_DISKS}, each another"
    for disk in disks:
        if not _is_device(disk):
            yield f"{where}: '{disk}' is no path of a device: write it as /dev/disk/by-id/..., several with a comma between them"
        elif _may_change(disk):
            yield f"{where}: '{disk}' is a name that may be another disk's after a restart: use the one in /dev/disk/by-id"
        elif disk == pair["device"]:
            yield f"{where}: '{disk}' is the disk with the mail (dovecot_active_passive_device): messages need one of their own"


def _one_fence_for_both(partition: str, pair: Mapping[str, Declared]) -> Iterator[str]:
    kinds = {name: node["fencing"] for name, node in pair.items() if node["fencing"]["agent"] not in ("", "none")}
    if len(kinds) == 2:
        (one, first), (other, second) = kinds.items()
        if BY_MESSAGE in (first["agent"], second["agent"]):
            if first != second:
                yield (
                    f"{PREFIX}fencing: {one} and {other} of partition '{partition}' differ, but with fence_sbd they send "
                    "each other messages: give both the same disks"
                )
        elif first == second:
            yield (
                f"{PREFIX}fencing: of {one} and of {other} is the same, so that one of them would switch itself off instead of "
                f"the other: give each node of partition '{partition}' what switches it off, as its BMC's address"
            )
    agents = {node["fencing"]["agent"] == "none" for node in pair.values()}
    if len(agents) == 2:
        yield f"{PREFIX}fencing: only one node of partition '{partition}' can be switched off: set it for both"


def _second_address(name: str, pairs: Mapping[str, Declared], topology: Topology) -> Iterator[str]:
    variable, given = f"{PREFIX}second_address", pairs[name]["second_address"]
    partner = topology["nodes"][name]["partner"]
    if not given:
        if partner and partner in pairs and pairs[partner]["second_address"]:
            yield f"{variable}: {partner} has one, {name} has none: set it for both, or for neither"
        return
    address = parse_address(given)
    if address is None or address.version == 6:
        yield f"{variable}: '{given}' of {name} is no IPv4 address: set the one that {name} has on the second network"
    elif any(str(address) == node["address"] for node in topology["nodes"].values()):
        yield f"{variable}: {given} of {name} is a dovecot_address already: set one of another network"
    elif any(str(address) == pair["second_address"] for other, pair in pairs.items() if other != name):
        yield f"{variable}: {given} of {name} is that of another node too: give each its own"
