"""The status of the cluster: a table for people, JSON for programs."""

from __future__ import annotations

import json
import shlex
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from labtool import inventory, lifecycle, nodes, paths, tls, users
from labtool.environment import environment, ssh
from labtool.inventory import Cluster, Node
from labtool.system import LabError, complaint, run, say
from labtool.table import render

# By protocol.
PORTS = {"imap": {"imap": 143, "imaps": 993}, "pop3": {"pop3": 110, "pop3s": 995}, "lmtp": {"lmtp": 24}, "sieve": {"sieve": 4190}}

# A node's tier is the first of these that it belongs to; the services are those that must run there.
TIERS = (
    ("dovecot_loadbalancers", "load balancer", ("haproxy", "keepalived")),
    ("dovecot_proxies", "proxy", ("dovecot",)),
    ("dovecot_directors", "director", ("dovecot",)),
    ("dovecot_backends", "backend", ("dovecot",)),
    ("dovecot_nfs_servers", "NFS server", ("nfs-server",)),
    ("lab_iscsi_targets", "SAN", ("lab-iscsi-target",)),
    ("lab_ldap", "directory", ("slapd",)),
    ("lab_pgsql", "database", ("postgresql@15-main",)),
    ("lab_mysql", "database", ("mariadb",)),
)
WITHOUT_DOVECOT = ("lab_iscsi_targets", "lab_ldap", "lab_pgsql", "lab_mysql")
HEADER = ("TIER", "NODE", "ADDRESS", "ROLE", "STATE")

PLAYBOOK = Path(__file__).with_name("status.yml")
PATIENCE = 90  # seconds


@dataclass(frozen=True)
class Answer:
    """What the collection's modules returned for a node. Empty for a module that failed or was not run."""

    reached: bool
    node: dict[str, Any] = field(default_factory=dict)
    director: dict[str, Any] = field(default_factory=dict)
    replicator: dict[str, Any] = field(default_factory=dict)
    mail: dict[str, Any] = field(default_factory=dict)
    pair: dict[str, Any] = field(default_factory=dict)


def current() -> Cluster:
    """The cluster that this checkout has on this machine."""
    variant = lifecycle.current_variant()
    owner = nodes.owner()
    if variant is None or owner is None:
        raise LabError("This checkout has no lab on this machine. Build one with: ./lab up")
    if owner[0] != str(paths.ROOT):
        raise LabError(
            f"The lab on this machine now belongs to the checkout {owner[0]} (variant {owner[1]}).\nTo replace it: ./lab up"
        )
    return inventory.load(variant)


def as_json() -> int:
    cluster = current()
    print(json.dumps(describe(cluster), indent=2))
    return 0


def describe(cluster: Cluster) -> dict[str, Any]:
    return {
        "variant": cluster.variant,
        "inventory": str(cluster.inventory),
        "vip": cluster.vip,
        "entry": cluster.entry,
        "ports": {service: port for protocol in cluster.protocols for service, port in PORTS[protocol].items()},
        "ca_file": str(tls.ca_file(cluster)),
        "users": [
            {"name": user.name, "password": users.password_of(cluster, user), "partition": user.partition}
            for user in cluster.users
        ],
        "nodes": [
            {
                "name": node.name,
                "address": node.address,
                "groups": list(node.groups),
                "partition": node.partition,
                "kind": node.kind,
                "ssh": ssh(node.address),
            }
            for node in cluster.nodes
        ],
    }


def as_table() -> int:
    """Print the table, and how to log in. Return 1 if something is wrong."""
    cluster = current()
    answers = ask(cluster)
    assigned = assignments(answers)
    differing = differences(cluster, answers)
    rows, healthy = [], True
    for node in cluster.nodes:
        state, good = judge(cluster, node, answers[node.name], assigned)
        if node.name in differing:
            state += f", {differing[node.name]}"
        healthy = healthy and good
        tier = tier_of(node)[0]
        rows.append((tier, node.name, node.address, f"partition {node.partition}" if node.partition else "", state))
    if cluster.vip and not any(answer.node.get("holds_vip") for answer in answers.values()):
        healthy = False
        say(f"No node holds the VIP {cluster.vip}.")
    print(f"Cluster {cluster.variant}, {cluster.inventory.relative_to(paths.ROOT)}\n")
    print(render([HEADER, *rows]))
    print(f"\n{how_to_log_in(cluster)}")
    return 0 if healthy else 1


def tier_of(node: Node) -> tuple[str, tuple[str, ...]]:
    return next(((tier, services) for group, tier, services in TIERS if group in node.groups), ("node", ()))


def services_of(cluster: Cluster, node: Node) -> list[str]:
    """What must run on a node."""
    services = list(tier_of(node)[1])
    if "dovecot_active_passive" in node.groups:
        # Pacemaker starts Dovecot, on one of the two nodes
        return ["corosync", "pacemaker"]
    if "dovecot_replicated" in node.groups:
        services += ["mailcluster-dovecot-partner", "mailcluster-dovecot-changes"]
    if "dovecot_active_passive" in node.groups:
        # Which starts Dovecot on one of them.
        services = ["pacemaker"]
    elif cluster.may_hold_vip(node) and "keepalived" not in services:
        services.append("keepalived")
    return services


def ask(cluster: Cluster) -> dict[str, Answer]:
    """Ask all nodes at the same time."""
    services = {node.name: services_of(cluster, node) for node in cluster.nodes}
    with tempfile.TemporaryDirectory(prefix="mailcluster-status-") as folder:
        answers = Path(folder) / "answers.json"
        # A different sample of users each time, but the same on all nodes.
        seed = str(time.time())
        variables = json.dumps({"services_of": services, "answers_file": str(answers), "sample_seed": seed})
        command = [str(paths.VENV / "bin" / "ansible-playbook"), "--extra-vars", variables, str(PLAYBOOK)]
        # Its exit status is not needed: the table shows nodes that do not answer.
        result = run(command, env=environment(cluster.inventory), check=False, timeout=PATIENCE)
        if not answers.exists():
            raise LabError(f"labtool/status.yml did not finish:\n{complaint(result)}")
        told = json.loads(answers.read_text())
    return {node.name: understand(told.get(node.name, [])) for node in cluster.nodes}


def understand(results: list[dict[str, Any]]) -> Answer:
    """The modules' results, in their order. A module that failed or was skipped has an empty one."""
    if not results or any(result.get("unreachable") for result in results):
        return Answer(reached=False)
    return Answer(True, *({} if result.get("failed") or result.get("skipped") else result for result in results))


def judge(cluster: Cluster, node: Node, answer: Answer, assigned: dict[str, str]) -> tuple[str, bool]:
    """A node's state in words, and whether all is well."""
    if not answer.reached:
        return "unreachable", False
    # Whether a directory or database starts at boot is up to its administrator.
    units = "inactive_units" if any(group in node.groups for group in WITHOUT_DOVECOT) else "idle_units"
    if stopped := [f"{name.removesuffix('.service')} stopped" for name in answer.node.get(units, ["all services"])]:
        return ", ".join(stopped), False
    words: list[str] = []
    good = True
    if cluster.may_hold_vip(node) and "dovecot_active_passive" not in node.groups:
        words.append("holds the VIP" if answer.node.get("holds_vip") else "standby")
    if "dovecot_directors" in node.groups:
        ring = answer.director.get("ring", {"synced": False, "status": "no answer from the ring"})
        words.append(ring["status"])
        good = good and ring["synced"]
    if "dovecot_backends" in node.groups and node.address in assigned:
        words.append(assigned[node.address])
    if space := answer.node.get("space"):
        words.append(disk_state(space))
        good = good and not space["low"]
    if "dovecot_active_passive" in node.groups:
        text, fine = pair_state(node, answer.pair)
        words.append(text)
        good = good and fine
    if "dovecot_replicated" in node.groups:
        text, fine = replication_state(answer.replicator)
        words.append(text)
        good = good and fine
    return ", ".join(words) or "running", good


def assignments(answers: dict[str, Answer]) -> dict[str, str]:
    """The state of each backend in words, as the first director that answers reports it."""
    for answer in answers.values():
        if backends := answer.director.get("backends"):
            return {host: _assignment(backend) for host, backend in backends.items()}
    return {}


def differences(cluster: Cluster, answers: dict[str, Answer]) -> dict[str, str]:
    """By node, the users whose mail differs on the partner. Not an error: a change may still be on its way."""
    found = {}
    for node in cluster.nodes:
        own = answers[node.name].mail.get("digests", {})
        for partner in cluster.nodes:
            theirs = answers[partner.name].mail.get("digests", {}) if partner.partition == node.partition else {}
            if names := sorted(user for user in own.keys() & theirs.keys() if own[user] != theirs[user]):
                found[node.name] = f"mail differs from {partner.name}: {', '.join(names[:3])}"
    return found


def _assignment(backend: dict[str, Any]) -> str:
    words = "1 user" if backend["users"] == 1 else f"{backend['users']} users"
    if backend["state"] != "up":
        return f"{words}, down at the directors"
    return words if backend["weight"] else f"{words}, drained"


def replication_state(replicator: dict[str, Any]) -> tuple[str, bool]:
    """Queue and failures in words. A queue is normal, but a user who failed or waits for long is an error."""
    if not replicator:
        return "no answer from the replicator", False
    failed, lagging = replicator["failed_users"], replicator["lagging_users"]
    text = f"replication: {replicator['queued']} queued, {len(failed)} failed"
    if failed:
        text += f" ({', '.join(failed[:3])})"
    if lagging:
        text += f", {len(lagging)} lagging ({', '.join(lagging[:3])})"
    return text, not failed and not lagging


def pair_state(node: Node, pair: dict[str, Any]) -> tuple[str, bool]:
    """What a node of an active/passive pair does, and what is wrong with its pair."""
    if not pair:
        return "no answer from Pacemaker", False
    words = ["active" if pair["active"] == node.name else "passive"]
    if drbd := pair["drbd"]:
        words.append(f"DRBD {drbd['connection']}, {drbd['disk']}")
    return ", ".join([*words, *pair["problems"]]), not pair["problems"]


def disk_state(space: dict[str, Any]) -> str:
    words = f"{space['free'] / (1 << 30):.1f} GiB free"
    if space["full_on"]:
        words += f", full on {space['full_on']}"
    return f"takes no mail ({words})" if space["low"] else words


def how_to_log_in(cluster: Cluster) -> str:
    by_imap = "imap" in cluster.protocols
    name, port = ("IMAP", PORTS["imap"]["imaps"]) if by_imap else ("POP3", PORTS["pop3"]["pop3s"])
    lines = ["Log in:", f"  {name}   openssl s_client -quiet -connect {cluster.entry}:{port} -CAfile {tls.ca_file(cluster)}"]
    for user in users.one_of_each_partition(cluster):
        try:
            password = users.password_of(cluster, user)
        except LabError:
            password = "PASSWORD (created by the first './lab up' that succeeds)"
        words = [f"a login {user.name} {password}"] if by_imap else [f"USER {user.name}", f"PASS {password}"]
        lines += [f"         {word}" for word in words]
    lines += [f"  shell  {shlex.join(ssh(cluster.nodes[0].address))}", "  tools  ./lab run ansible all -m ping"]
    return "\n".join(lines)
