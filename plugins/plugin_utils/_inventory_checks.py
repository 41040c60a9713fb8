# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be wrong with a declared cluster.

Each check yields sentences that name the variable, its value and the remedy.  They need
nothing but the inventory, so that a mistake is refused before any node was touched.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, TypedDict

from ansible_collections.mailcluster.dovecot.plugins.plugin_utils import (
    _active_passive,
    _certificates,
    _database_checks,
    _differences,
    _meanings,
    _schemes,
    _secrets,
    _services,
    _setting_checks,
    _storage_checks,
    _user_names,
)
from ansible_collections.mailcluster.dovecot.plugins.plugin_utils._normal import whole
from ansible_collections.mailcluster.dovecot.plugins.plugin_utils._pem import has_private_key
from ansible_collections.mailcluster.dovecot.plugins.plugin_utils._topology import (
    CLUSTER_GROUP,
    Address,
    Given,
    Groups,
    Interface,
    Node,
    Topology,
    parse_address,
    parse_interface,
    parse_network,
)
from ansible_collections.mailcluster.dovecot.plugins.plugin_utils._words import some, type_of

SECRET_LENGTH = 16
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*\Z")
# passwd-file separates fields by colons and lines by newlines
USER = re.compile(r"[^\s:\\\"'%]+\Z")
# variable -> its value
Variables = Mapping[str, Any]


class Declared(TypedDict):
    groups: Groups
    topology: Topology
    vars: Variables
    given: Mapping[str, Given]
    secrets: _secrets.Readings
    pairs: Mapping[str, _active_passive.Declared]
    values: Mapping[str, Variables]
    explicit: Collection[str]


def problems(declared: Declared) -> list[str]:
    """All sentences about what is wrong with I(declared), in the order of the checks.

    I(declared) has C(groups), C(topology), C(vars) (cluster-wide variables) and C(given)
    (node name -> its own variables, as handed to C(_topology.derive), with C(settings)),
    C(secrets) (variable -> node and value, as each node has it), and C(values) (node name -> all that its roles read).
    """
    # of nobody nothing more can be said
    checks = CHECKS if declared["topology"]["nodes"] else CHECKS[:1]
    return [sentence for check in checks for sentence in check(**declared)]


def check_groups(groups: Groups, topology: Topology, **_rest: Any) -> Iterator[str]:
    nodes = topology["nodes"]
    if not nodes:
        yield (
            f"{CLUSTER_GROUP}: the group is empty or missing: make dovecot_backends, dovecot_directors and "
            f"dovecot_loadbalancers its children"
        )
        return
    for group in (
        "dovecot_backends",
        "dovecot_directors",
        "dovecot_proxies",
        "dovecot_implicit_proxies",
        "dovecot_loadbalancers",
        "dovecot_replicated",
    ):
        strays = [name for name in groups.get(group, ()) if name not in nodes]
        if strays:
            yield (f"{group}: {', '.join(strays)} not in {CLUSTER_GROUP}: make {group} one of its children")
    idle = [name for name, node in nodes.items() if node["roles"] == ["node"]]
    if idle:
        yield (
            f"{CLUSTER_GROUP}: {', '.join(idle)} in none of its groups that select a role, so nothing would run there: put it "
            f"into dovecot_backends, dovecot_directors or another, or take it out of the cluster"
        )
    for name, node in nodes.items():
        if not NAME.match(name):
            yield (
                f"{name}: the name of this host in the inventory has characters other than letters, digits, '_', '-' and '.', "
                f"which haproxy and Dovecot cannot use: rename it"
            )
        tiers: list[str] = [role for role in ("backend", "director", "loadbalancer") if role in node["roles"]]
        tiers += ["proxy"] if name in groups.get("dovecot_proxies", ()) else []
        if len(tiers) > 1:
            yield (
                f"inventory groups: {name} is {' and '.join(tiers)} at once, which share ports: "
                f"put it into one of these groups only"
            )
        if "replication" in node["roles"] and "backend" not in node["roles"]:
            yield f"dovecot_replicated: {name} is no backend: put it into dovecot_backends too"
    if topology["directors"] and not topology["backends"]:
        yield "dovecot_backends: empty, so the directors have nowhere to send users: add backends"
    if topology["loadbalancers"] and not (topology["directors"] or topology["proxies"]) and len(topology["partitions"]) != 1:
        yield (
            f"dovecot_directors: empty, but behind the load balancers there are {len(topology['partitions'])} partitions, "
            f"and only directors and proxies know whose mail is where: add two directors or proxies, or have one partition"
        )
    yield from _proxy_groups(groups, topology)


def _proxy_groups(groups: Groups, topology: Topology) -> Iterator[str]:
    dedicated, implicit = (
        [name for name in groups.get(group, ()) if name in topology["nodes"]]
        for group in ("dovecot_proxies", "dovecot_implicit_proxies")
    )
    if dedicated and implicit:
        yield (
            f"dovecot_implicit_proxies: holds {', '.join(implicit)} beside dovecot_proxies with {', '.join(dedicated)}: users "
            f"are sent home either by proxies of their own or by every backend: empty one of the two groups"
        )
    if topology["proxies"] and topology["directors"]:
        yield (
            f"dovecot_proxies: {', '.join(topology['proxies'])} beside the directors {', '.join(topology['directors'])}: both "
            f"send users to backends: use directors where a partition is a pair, else proxies"
        )
    strangers = [name for name in implicit if name not in topology["backends"]]
    if strangers:
        yield (
            f"dovecot_implicit_proxies: {', '.join(strangers)} not in dovecot_backends: a proxy without mail goes into "
            f"dovecot_proxies"
        )
    missing = [name for name in topology["backends"] if implicit and name not in implicit]
    if missing:
        yield (
            f"dovecot_implicit_proxies: lacks {', '.join(missing)}: clients that came there would find their mail missing: "
            f"add all backends"
        )
    if dedicated and not topology["backends"]:
        yield "dovecot_backends: empty, so the proxies have nowhere to send users: add backends"
    for partition, members in topology["partitions"].items():
        if topology["proxies"] and len(members) > 1 and not _is_active_passive(topology, members):
            yield (
                f"dovecot_partition: partition '{partition}' has {len(members)} nodes ({', '.join(members)}), but a proxy "
                f"sends users to one address: put directors before replicated pairs, or have one node a partition"
            )


_SHARING = {"shared_storage", "active_passive"}


def _is_active_passive(topology: Topology, members: Sequence[str]) -> bool:
    return any("active_passive" in topology["nodes"][name]["roles"] for name in members)


def check_partitions(topology: Topology, given: Mapping[str, Given], **_rest: Any) -> Iterator[str]:
    nodes = topology["nodes"]
    for partition, members in topology["partitions"].items():
        replicated = [name for name in members if "replication" in nodes[name]["roles"]]
        # _active_passive says the like of its pairs. Reason and remedy differ, so each sentence is written out.
        if replicated and (len(members) != 2 or len(replicated) != 2):
            others = sorted(set(members) - set(replicated))
            detail = f", of which {', '.join(others)} not in dovecot_replicated" if others else ""
            yield (
                f"dovecot_partition: partition '{partition}' in dovecot_replicated has {len(members)} "
                f"node{'s' if len(members) > 1 else ''} ({', '.join(members)}{detail}), dsync replicates between "
                f"exactly two: add or remove nodes, or take the partition out of dovecot_replicated"
            )
        elif len(members) > 1 and not replicated and not any(_SHARING & set(nodes[name]["roles"]) for name in members):
            yield (
                f"dovecot_partition: partition '{partition}' has {len(members)} nodes ({', '.join(members)}) that "
                f"share no mail: add them to dovecot_replicated, dovecot_shared_storage or dovecot_active_passive, or give each "
                f"a partition of its own"
            )
        if not NAME.match(partition):
            yield (f"dovecot_partition: '{partition}' is used as a director tag: use letters, digits, '_', '-' and '.' only")
    if topology["directors"] or topology["proxies"]:
        for name in topology["backends"]:
            if not given[name]["partition"]:
                who = "directors" if topology["directors"] else "proxies"
                yield (
                    f"dovecot_partition: backend {name} has none, but the {who} find it by its partition: "
                    f"set dovecot_partition for it or for a group it is in"
                )


def check_addresses(topology: Topology, vars: Variables, **_rest: Any) -> Iterator[str]:
    nodes = topology["nodes"]
    vip = parse_interface(vars.get("dovecot_vip"))
    routed = vars.get("dovecot_allow_routed")
    seen_addresses: dict[str, str] = {}
    seen_names: dict[str, str] = {}
    outside: dict[bool, list[tuple[str, Address]]] = {}
    for name, node in nodes.items():
        address = parse_address(node["address"])
        if address is not None and not_for_a_node(address, vip):
            yield (
                f"dovecot_address: {address} of {name} {not_for_a_node(address, vip)}: set the one that the other nodes reach "
                f"it by"
            )
        elif address is None:
            yield (
                f"dovecot_address: '{node['address']}' of {name} is no IP address: set ansible_host or "
                f"dovecot_address to the address that the other nodes reach it by"
            )
        elif vip is not None and address not in vip.network and not (routed and "service_address" not in node["roles"]):
            outside.setdefault("service_address" in node["roles"], []).append((name, address))
        other = seen_addresses.setdefault(str(address or node["address"]), name)
        if other != name:
            yield (f"dovecot_address: {node['address']} is the address of {other} and of {name}: give every node its own")
        other = seen_names.setdefault(str(node["hostname"]).lower(), name)
        if other != name:
            yield (
                f"dovecot_hostname: '{node['hostname']}' is the host name of {other} and of {name}: "
                f"dsync tells partners apart by it, give every node its own"
            )
    if vip is None:
        return
    for holds_vip, strangers in outside.items():
        (name, address), others = strangers[0], [name for name, _address in strangers[1:]]
        yield (
            f"dovecot_address: {address} of {name} is outside of the VIP's network {vip.network} "
            f"(dovecot_vip: {vip}): correct one of them"
            + ("" if holds_vip else ", or set dovecot_allow_routed: true if there is a router between")
            + (f" (so are those of {some(others)})" if others else "")
        )


def not_for_a_node(address: Address, vip: Interface | None) -> str:
    """Why no node can be reached by it, or nothing."""
    if address.version == 6:
        return "is an IPv6 address, and the nodes of a cluster reach each other by IPv4 in this release"
    if address.is_loopback or address.is_unspecified or address.is_multicast or address.is_link_local or int(address) >> 28 == 15:
        return "leads to no other node"
    if vip is not None and vip.network.prefixlen < 31 and address in (vip.network.network_address, vip.network.broadcast_address):
        return f"is that of the network {vip.network} itself, or its broadcast address"
    return ""


def check_vip(topology: Topology, vars: Variables, **_rest: Any) -> Iterator[str]:
    given = vars.get("dovecot_vip")
    holders = topology["vip_holders"]
    if not given:
        if topology["loadbalancers"]:
            yield "dovecot_vip: missing, but there are load balancers: set it to the service address, as 192.0.2.10/24"
        return
    of_pairs = {node["service_address"] for node in topology["nodes"].values() if node["service_address"]}
    if not holders and not of_pairs:
        yield (
            f"dovecot_vip: '{given}' has no node that could hold it: add load balancers, or leave it out; without any "
            f"only a replicated or an active/passive pair has it by itself"
        )
        return
    if not topology["loadbalancers"] and len(topology["partitions"]) > 1:
        yield (
            f"dovecot_vip: '{given}' with the partitions {', '.join(topology['partitions'])}: without load balancers and "
            f"directors it would lead to one of them only: add these, or leave dovecot_vip out"
        )
    vip = parse_interface(given)
    if vip is None:
        yield f"dovecot_vip: '{given}' is no address with its network's prefix: write it as 192.0.2.10/24"
        return
    ends = (vip.network.network_address, vip.network.broadcast_address)
    if vip.version == 6:
        yield f"dovecot_vip: '{given}' is an IPv6 address, and this release serves the VIP by IPv4: write it as 192.0.2.10/24"
    elif vip.ip.is_loopback or vip.ip.is_unspecified or vip.ip.is_multicast or vip.network.prefixlen < 8:
        yield (
            f"dovecot_vip: '{given}' is no address that clients could reach, or its network is everything: write it as "
            f"192.0.2.10/24"
        )
    elif vip.network.prefixlen < 31 and vip.ip in ends:
        yield (
            f"dovecot_vip: '{given}' is that of the network {vip.network} itself, or its broadcast address: choose another "
            f"address in it"
        )
    for name, node in topology["nodes"].items():
        if parse_address(node["address"]) == vip.ip:
            yield (f"dovecot_vip: {vip.ip} is the address of {name} too: the VIP must be an address that no node has of its own")
    router_id = vars.get("dovecot_vrrp_router_id", 51)
    if not 1 <= (whole(router_id) or 0) <= 255:
        yield f"dovecot_vrrp_router_id: '{router_id}' is not between 1 and 255: choose one unused in this network"
    preferred = vars.get("dovecot_service_address_preferred")
    if preferred and holders and preferred not in holders:
        yield (
            f"dovecot_service_address_preferred: '{preferred}' cannot hold the VIP: set it to one of {', '.join(holders)}, "
            f"or to '' for none"
        )


def check_directors(topology: Topology, vars: Variables, **_rest: Any) -> Iterator[str]:
    if len(topology["directors"]) == 1 and not vars.get("dovecot_director_allow_single"):
        yield (
            f"dovecot_directors: {topology['directors'][0]} is the only one, so if it fails, the cluster fails: "
            f"add a second, or set dovecot_director_allow_single: true"
        )
    for name, node in topology["nodes"].items():
        weight = whole(node["weight"])
        if weight is None or weight > 1000:
            yield f"dovecot_backend_weight: '{node['weight']}' of {name} is no whole number from 0 to 1000"
    for partition, members in topology["partitions"].items():
        if topology["directors"] and not any(str(topology["nodes"][name]["weight"]) != "0" for name in members):
            yield (
                f"dovecot_backend_weight: is 0 for all backends of partition '{partition}' ({', '.join(members)}), so that "
                f"its users have no backend: give one of them a weight, for example 100"
            )


# Not of a service that clients use.
NODE_PORTS = ("dovecot_ring_port", "dovecot_doveadm_port", "dovecot_dsync_port", "dovecot_agent_port", "dovecot_sasl_port")


def check_ports(values: Mapping[str, Variables], **_rest: Any) -> Iterator[str]:
    told: set[tuple[str, str]] = set()
    for host in values.values():
        services: list[tuple[int | None, str]] = [
            (port, f"{variable}: {service}")
            for variable in _services.PORTS
            for service, port in _services.served(host.get(variable) or {}, host["dovecot_protocols"]).items()
        ]
        services += [(host.get(variable), variable) for variable in NODE_PORTS]
        seen: dict[int | None, str] = {}
        for port, name in services:
            other = seen.setdefault(port, name)
            if port and other != name and (other, name) not in told:
                told.add((other, name))
                yield f"{name}{':' if ':' not in name else ''} {port} is the port of {other} too: give each its own"


def check_networks(vars: Variables, **_rest: Any) -> Iterator[str]:
    networks = vars.get("dovecot_mta_networks") or []
    if isinstance(networks, str):
        yield f"dovecot_mta_networks: '{networks}' is no list: write one network an item"
        return
    for network in networks:
        parsed = parse_network(network)
        if parsed is None:
            yield (
                f"dovecot_mta_networks: '{network}' is no network: write an address or a network, as 192.0.2.25 or 192.0.2.0/28"
            )
        elif parsed.prefixlen == 0:
            yield (
                f"dovecot_mta_networks: '{network}' means everybody, and anyone could deliver without a check: name the mail "
                f"servers, as 192.0.2.25"
            )


def check_secrets(vars: Variables, topology: Topology, **_rest: Any) -> Iterator[str]:
    if not any("server" in node["roles"] for node in topology["nodes"].values()):
        return
    secret = vars.get("dovecot_doveadm_password") or ""
    if not isinstance(secret, str) or len(secret) < SECRET_LENGTH:
        state = f"has {len(secret)} characters" if secret and isinstance(secret, str) else "is missing"
        yield (
            f"dovecot_doveadm_password: {state}, at least {SECRET_LENGTH} are needed: generate one, as with "
            f"`openssl rand -hex 16`, and keep it in ansible-vault"
        )
    elif not re.match(r"[\x21-\x7e]+\Z", secret) or re.search(r"[\"'\\#$]", secret):
        yield (
            "dovecot_doveadm_password: (value not shown) has spaces, quotes, backslashes, '#', '$' or "
            "non-ASCII characters, which a configuration file cannot carry: use letters and digits"
        )


def check_shared_secrets(secrets: _secrets.Readings, **_rest: Any) -> Iterator[str]:
    yield from _secrets.differing(secrets)


def check_tls(
    vars: Variables, topology: Topology, values: Mapping[str, Variables], explicit: Collection[str], **_rest: Any
) -> Iterator[str]:
    if not any("server" in node["roles"] for node in topology["nodes"].values()):
        return
    for text, path in (("dovecot_tls_cert", "dovecot_tls_cert_file"), ("dovecot_tls_key", "dovecot_tls_key_file")):
        if not vars.get(text) and (not vars.get(path) or path not in explicit):
            yield (
                f"{text}: missing, and clients are served with TLS only: set it to the PEM text (for example "
                f"with the file lookup), or {path} to a file that is on the nodes already"
            )
        elif vars.get(text) and "-----BEGIN " not in str(vars[text]):
            yield (f"{text}: (value not shown) is no PEM text: it must contain '-----BEGIN'; for a path on the nodes use {path}")
    if has_private_key(vars.get("dovecot_tls_cert")):
        yield (
            "dovecot_tls_cert: (value not shown) has a private key in it, as a combined file does: give the certificate with "
            "its chain only, and the key in dovecot_tls_key"
        )
    else:
        yield from _certificates_of(values)


def _certificates_of(values: Mapping[str, Variables]) -> Iterator[str]:
    """Each node may have one of its own; what many have is read once."""
    told: dict[tuple[str, ...], list[str]] = {}
    for name, host in values.items():
        texts = host.get("dovecot_tls_cert") or "", host.get("dovecot_tls_key") or ""
        pair = tuple(text if "-----BEGIN " in text else "" for text in texts)
        if any(pair):
            told.setdefault(pair, []).append(name)
    for (certificate, key), names in told.items():
        found = _certificates.problem(certificate, key)
        if found:
            yield f"{found[0]}: (value not shown) of {some(names)} {found[1]}"


def check_users(vars: Variables, topology: Topology, **_rest: Any) -> Iterator[str]:
    users = vars.get("dovecot_users") or []
    if not isinstance(users, list):
        yield f"dovecot_users: is a {type_of(users)}, no list: write one user an item, with name and password"
        return
    partitions = sorted(topology["partitions"])
    seen = set()
    for number, user in enumerate(users, 1):
        name = user.get("name") if hasattr(user, "get") else None
        if not isinstance(name, str) or not USER.match(name):
            yield (
                f"dovecot_users: item {number} has the name '{name}': give it a name without spaces, colons, "
                f"quotes, backslashes and percent signs"
            )
            continue
        if _user_names.problem(name):
            yield f"dovecot_users: item {number} has the name '{name}', {_user_names.problem(name)}"
            continue
        if name.lower() in seen:
            yield f"dovecot_users: {name} is listed twice (case does not count): remove one"
        seen.add(name.lower())
        partition = user.get("partition")
        if partition is None and len(partitions) != 1:
            yield f"dovecot_users: {name} has no partition: set partition to one of {', '.join(partitions)}"
        elif partition is not None and str(partition) not in topology["partitions"]:
            yield (
                f"dovecot_users: {name} has the partition '{partition}', which no backend has: set it to one of "
                f"{', '.join(partitions)}"
            )
        if "quota" in user and not _meanings.QUOTA.match(str(user["quota"])):
            yield (
                f"dovecot_users: the quota of {name} is '{user['quota']}', which is no size: write digits and one of K, M, "
                f"G, T, as 5G, or leave it out for dovecot_backend_quota_limit"
            )
        wrong = "password" in user and _schemes.problem(str(user["password"]))
        if wrong:
            yield f"dovecot_users: the password of {name} (not shown) {wrong}"
        elif "password" not in user:
            yield (
                f"dovecot_users: {name} has no password: make a hash with `doveadm pw -s SHA512-CRYPT`, and give it with its "
                f"{{SCHEME}}"
            )


def check_user_databases(vars: Variables, topology: Topology, **_rest: Any) -> Iterator[str]:
    yield from _database_checks.problems(
        vars.get("dovecot_user_databases"),
        vars.get("dovecot_home_servers"),
        topology,
        sasl=bool(vars.get("dovecot_mta_networks")) and str(vars.get("dovecot_sasl_port")) != "0",
    )


def check_proxies(vars: Variables, topology: Topology, **_rest: Any) -> Iterator[str]:
    if not topology["proxies"]:
        return
    how = vars.get("dovecot_proxy_login") or "forward"
    secret = str(vars.get("dovecot_proxy_master_password") or "")
    if how not in ("forward", "master"):
        yield f"dovecot_proxy_login: '{how}' is unknown: set it to forward or master"
    elif how == "master" and len(secret) < SECRET_LENGTH:
        words = f"has {len(secret)} characters, at least {SECRET_LENGTH} are needed" if secret else "is missing"
        yield (
            f"dovecot_proxy_master_password: {words}, and whoever knows it reads all mail: generate one, as with "
            f"`openssl rand -hex 16`, and keep it in ansible-vault"
        )
    elif how == "master" and not re.match(r"[A-Za-z0-9_.-]+\Z", secret):
        yield (
            "dovecot_proxy_master_password: (value not shown) has other characters than letters, digits, '_', '-' and '.', "
            "which the databases' settings cannot hold: generate another"
        )


def check_replication(vars: Variables, topology: Topology, explicit: Collection[str], **_rest: Any) -> Iterator[str]:
    if not any("replication" in node["roles"] for node in topology["nodes"].values()):
        return
    location = str(vars.get("dovecot_backend_mail_location") or "")
    if location.split(":", 1)[0].lower() == "maildir" and not vars.get("dovecot_replication_allow_maildir"):
        yield (
            f"dovecot_backend_mail_location: '{location}' with dovecot_replicated: on Dovecot 2.3.19 a Maildir "
            f'mailbox that both nodes created before their first synchronisation is stuck permanently ("GUIDs '
            f'conflict", fixed in 2.3.20): use mdbox or sdbox, or set dovecot_replication_allow_maildir: true'
        )
    authority = str(vars.get("dovecot_replication_ca") or "")
    if vars.get("dovecot_replication_transport") == "tcps" and not authority and ("dovecot_replication_ca_file" not in explicit):
        yield (
            "dovecot_replication_ca: missing, and tcps checks the partner's certificate: set it to the PEM text of the "
            "authority, or dovecot_replication_ca_file to a file that is on the nodes already"
        )
    elif authority and "-----BEGIN " not in authority:
        yield (
            "dovecot_replication_ca: (value not shown) is no PEM text: it must contain '-----BEGIN'; for a path on the "
            "nodes use dovecot_replication_ca_file"
        )
    elif has_private_key(authority):
        yield (
            "dovecot_replication_ca: (value not shown) has a private key in it, which the mail user could read: give the "
            "authority's certificate only, and keep its key away from the nodes"
        )
    quota = str(vars.get("dovecot_backend_quota") or "")
    if quota.startswith("dict"):
        yield _shared_quota("dovecot_backend_quota", quota)
    yield from _dsync_parameters(vars)


def check_storage(groups: Groups, topology: Topology, given: Mapping[str, Given], **_rest: Any) -> Iterator[str]:
    yield from _storage_checks.problems(groups, topology, given)


def check_active_passive(
    groups: Groups, topology: Topology, pairs: Mapping[str, _active_passive.Declared], vars: Variables, **_rest: Any
) -> Iterator[str]:
    yield from _active_passive.problems(groups, topology, pairs, vars.get("dovecot_vip"))


def check_settings(given: Mapping[str, Given], topology: Topology, vars: Variables, **_rest: Any) -> Iterator[str]:
    # most settings are given to many nodes at once: one sentence for all of them
    for tree, names in _same_settings(given):
        if not hasattr(tree, "items"):
            yield (
                f"dovecot_settings: of {', '.join(names)} is a {type_of(tree)}, no mapping: write "
                f"setting: value, and a section as a mapping below its name"
            )
            continue
        replicated = any("replication" in topology["nodes"][name]["roles"] for name in names)
        yield from _open_relays(tree, [name for name in names if _believes_any_password(topology["nodes"][name], vars)])
        for where, words in _setting_checks.problems(tree):
            yield f"dovecot_settings: {where} of {some(names)} {words}"
        for path, value in _setting_checks.leaves(tree):
            if path[-1] == "replication_sync_timeout":
                yield (
                    f"dovecot_settings: replication_sync_timeout ({value}) of {', '.join(names)} crashes the "
                    f"replicator of every 2.3 release: remove it"
                )
            elif re.match(r"mail_replica\Z", path[-1]):
                yield (
                    f"dovecot_settings: mail_replica ({value}) of {', '.join(names)}: who replicates with whom follows from "
                    f"the inventory alone: remove it, and put the two nodes of a partition into dovecot_replicated"
                )
            elif replicated and re.match(r"quota\d*\Z", path[-1]) and str(value).startswith("dict"):
                yield _shared_quota(f"dovecot_settings: {'/'.join(path)}", value)


def _believes_any_password(node: Node, vars: Variables) -> bool:
    """Whether a look-up there succeeds with any password, since the backend is to judge it."""
    is_proxy = "proxy" in node["roles"] and "backend" not in node["roles"]
    return "director" in node["roles"] or (is_proxy and vars.get("dovecot_proxy_login") != "master")


def _open_relays(tree: Mapping[str, Any], names: Sequence[str]) -> Iterator[str]:
    services = _setting_checks.sections(tree.get("service auth")) if names else ()
    for listener in (listener for service in services for listener in service):
        if str(listener).startswith("inet_listener"):
            yield (
                f"dovecot_settings: service auth/{listener} of {', '.join(names)} says OK to any password, since the backends "
                f"judge it: a mail server that asks there is an open relay. Remove it: for dovecot_mta_networks there is one "
                f"that judges, at dovecot_sasl_port"
            )


def check_partners_users(given: Mapping[str, Given], topology: Topology, **_rest: Any) -> Iterator[str]:
    for partition, members in topology["partitions"].items():
        lists = [
            (name, given[name].get("users") or frozenset()) for name in members if topology["nodes"][name]["partner"] is not None
        ]
        for (one, users), (other, others) in zip(lists, lists[1:]):
            only = {one: sorted(users - others), other: sorted(others - users)}
            words = [
                f"{', '.join(names[:3])}{' ...' if len(names) > 3 else ''} only for {name}"
                for name, names in only.items()
                if names
            ]
            if words:
                yield (
                    f"dovecot_users: partition '{partition}' has {' and '.join(words)}, but both nodes of a pair have "
                    f"the same users: set dovecot_users once, for their group"
                )


def check_differences(
    values: Mapping[str, Variables], topology: Topology, given: Mapping[str, Given], **_rest: Any
) -> Iterator[str]:
    told = {"dovecot_users"} if any(check_partners_users(given, topology)) else set()
    yield from _differences.problems(values, topology["partitions"], told)


def _same_settings(given: Mapping[str, Given]) -> list[tuple[Any, list[str]]]:
    trees: list[tuple[Any, list[str]]] = []
    for name, node in given.items():
        for tree, names in trees:
            if tree == node["settings"]:
                names.append(name)
                break
        else:
            trees.append((node["settings"], [name]))
    return trees


def _shared_quota(variable: str, value: object) -> str:
    return (
        f"{variable}: '{value}' with dovecot_replicated: a quota dictionary that both nodes share counts every "
        f"message twice: use 'count:User quota'"
    )


def _dsync_parameters(vars: Variables) -> Iterator[str]:
    text = str(vars.get("dovecot_replication_dsync_parameters") or "")
    try:
        words = shlex.split(text)
    except ValueError as error:
        yield f"dovecot_replication_dsync_parameters: '{text}' cannot be split into words ({error}): correct the quotes"
        return
    prefixes = ["", *(str(space.get("prefix", "")) for space in vars.get("dovecot_backend_namespaces") or [])]
    for position, word in enumerate(words):
        if word == "-n" or (word.startswith("-n") and not word.startswith("--")):
            prefix = word[2:] if word != "-n" else (words[position + 1] if position + 1 < len(words) else None)
            if prefix not in prefixes:
                known = ", ".join(f"'{known}'" for known in prefixes)
                yield (
                    f"dovecot_replication_dsync_parameters: '-n {prefix}' in '{text}' names no namespace (the "
                    f"prefixes are {known}), so that every synchronisation would fail: remove it"
                )


CHECKS: tuple[Callable[..., Iterator[str]], ...] = (
    check_groups,
    check_partitions,
    check_addresses,
    check_vip,
    check_directors,
    check_ports,
    check_networks,
    check_secrets,
    check_shared_secrets,
    check_tls,
    check_user_databases,
    check_proxies,
    check_users,
    check_replication,
    check_storage,
    check_active_passive,
    check_partners_users,
    check_differences,
    check_settings,
)
