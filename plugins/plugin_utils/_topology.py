# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The cluster as the inventory declares it: plain data in, plain data out, no I/O.

C(derive) turns group membership and a few variables of every node into the topology
that all roles render from.  It never fails: what is wrong with the declaration is found
by C(_inventory_checks) and reported in one message.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NotRequired, TypedDict

from ansible_collections.mailcluster.dovecot.plugins.plugin_utils._storage import Storage

CLUSTER_GROUP = "dovecot_cluster"
# group -> the role that membership selects, in the order in which roles are applied
ROLE_OF_GROUP = {
    "dovecot_backends": "backend",
    "dovecot_replicated": "replication",
    "dovecot_shared_storage": "shared_storage",
    "dovecot_active_passive": "active_passive",
    "dovecot_proxies": "proxy",
    "dovecot_implicit_proxies": "proxy",
    "dovecot_directors": "director",
    "dovecot_loadbalancers": "loadbalancer",
    "dovecot_nfs_servers": "nfs_server",
}
DOVECOT_ROLES = ("backend", "replication", "shared_storage", "active_passive", "proxy", "director")
# of two nodes, which are each other's partner
OF_PAIRS = ("replication", "active_passive")

# group -> the names of its hosts
Groups = Mapping[str, Sequence[str]]
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Interface = ipaddress.IPv4Interface | ipaddress.IPv6Interface
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Given(TypedDict):
    """What is taken of a host's variables: by the topology itself, and below that by the checks alone."""

    address: str
    hostname: str
    partition: NotRequired[str | None]
    weight: NotRequired[int]
    service_address: NotRequired[str | None]

    settings: NotRequired[Any]
    export: NotRequired[str]
    lease_time: NotRequired[int]
    users: NotRequired[frozenset[str]]
    storage: NotRequired[Storage]


class Node(TypedDict):
    name: str
    address: str
    hostname: str
    roles: list[str]
    partition: str | None
    weight: int
    partner: str | None
    service_address: str | None


class RingBackend(TypedDict):
    host: str
    tag: str | None
    weight: int


class Vip(TypedDict):
    address: str
    prefix: int


class Topology(TypedDict):
    nodes: dict[str, Node]
    partitions: dict[str, list[str]]
    partition_addresses: dict[str, str]
    loadbalancers: list[str]
    directors: list[str]
    backends: list[str]
    vip_holders: list[str]
    entry_nodes: list[str]
    proxies: list[str]
    nfs_servers: list[str]
    storage_clients: list[str]
    ring_backends: list[RingBackend]
    vip: Vip | None


def parse_address(text: object) -> Address | None:
    """The IP address in I(text), or None when it is none."""
    try:
        return ipaddress.ip_address(str(text))
    except ValueError:
        return None


def parse_interface(text: object) -> Interface | None:
    """The address with its network in I(text) (C(192.0.2.10/24)), or None."""
    if "/" not in str(text):
        return None
    try:
        return ipaddress.ip_interface(str(text))
    except ValueError:
        return None


def parse_network(text: object) -> Network | None:
    """The network in I(text), host bits allowed, or None."""
    try:
        return ipaddress.ip_network(str(text), strict=False)
    except ValueError:
        return None


def roles_of(name: str, groups: Groups) -> list[str]:
    """All roles of the node I(name) by its groups: C(node) for each, C(server) where Dovecot runs."""
    chosen = list(dict.fromkeys(role for group, role in ROLE_OF_GROUP.items() if name in groups.get(group, ())))
    server = ["server"] if any(role in DOVECOT_ROLES for role in chosen) else []
    return ["node"] + server + chosen


def holders_of(nodes: Mapping[str, Node]) -> list[str]:
    """Between whom the VIP moves: the load balancers; without any, directors and proxies, the replicated backends."""
    for group in ("loadbalancer", "director", "proxy", "replication"):
        names = [name for name, node in nodes.items() if group in node["roles"]]
        if names:
            return [] if group in ("director", "proxy") else names
    return []


def derive(groups: Groups, hostvars: Mapping[str, Given], vip: str | None = None) -> Topology:
    """The topology.

    I(groups): group name -> list of node names.  I(hostvars): node name -> mapping with
    C(address), C(hostname), C(partition), C(weight), C(service_address) of an active/passive
    pair.  I(vip): text such as 192.0.2.10/24.
    """
    nodes: dict[str, Node] = {}
    for name in groups.get(CLUSTER_GROUP, ()):
        given = hostvars[name]
        roles = roles_of(name, groups)
        nodes[name] = {
            "name": name,
            "address": str(given["address"]),
            "hostname": given["hostname"],
            "roles": roles,
            # a backend without a partition is one by itself
            "partition": str(given.get("partition") or name) if "backend" in roles else None,
            "weight": given.get("weight", 100),
            "partner": None,
            "service_address": _service_address(given.get("service_address")) if "active_passive" in roles else None,
        }
    partitions: dict[str, list[str]] = {}
    for node in nodes.values():
        if node["partition"] is not None:
            partitions.setdefault(node["partition"], []).append(node["name"])
    for node in nodes.values():
        others = [name for name in partitions.get(node["partition"] or "", ()) if name != node["name"]]
        if any(role in node["roles"] for role in OF_PAIRS) and len(others) == 1:
            node["partner"] = others[0]

    def having(role: str) -> list[str]:
        return [name for name, node in nodes.items() if role in node["roles"]]

    interface = parse_interface(vip)
    holders = holders_of(nodes) if vip else []
    for name in holders:
        nodes[name]["roles"].append("service_address")
    return {
        "nodes": nodes,
        "partitions": partitions,
        # where a proxy finds the only node of a partition, or the active one
        "partition_addresses": {name: reached_at(nodes[members[0]]) for name, members in partitions.items()},
        "loadbalancers": having("loadbalancer"),
        "directors": having("director"),
        "backends": having("backend"),
        "vip_holders": holders,
        # whom the load balancers send clients to
        "entry_nodes": having("director") or having("proxy") or having("backend"),
        "proxies": having("proxy"),
        "nfs_servers": having("nfs_server"),
        "storage_clients": having("shared_storage"),
        # as the module director_backends takes them
        "ring_backends": list(
            {
                reached_at(node): RingBackend(host=reached_at(node), tag=node["partition"], weight=node["weight"])
                for node in map(nodes.__getitem__, having("backend"))
            }.values()
        ),
        "vip": None if interface is None else {"address": str(interface.ip), "prefix": interface.network.prefixlen},
    }


def reached_at(node: Node) -> str:
    """Where clients, proxies and directors find the mail of a node."""
    return node["service_address"] or node["address"]


def _service_address(text: object) -> str | None:
    interface = parse_interface(text)
    return None if interface is None else str(interface.ip)


def merged_networks(networks: Iterable[object]) -> dict[str, list[str]]:
    """I(networks) by family, overlapping ones merged, as nftables sets want them."""
    parsed = [network for network in map(parse_network, networks) if network is not None]
    ipv4 = ipaddress.collapse_addresses(network for network in parsed if isinstance(network, ipaddress.IPv4Network))
    ipv6 = ipaddress.collapse_addresses(network for network in parsed if isinstance(network, ipaddress.IPv6Network))
    return {"ipv4": [str(network) for network in ipv4], "ipv6": [str(network) for network in ipv6]}
