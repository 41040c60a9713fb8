"""The cluster as it is now: a table for people, JSON for programs."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass, field
from typing import Any

from labtool import inventory, lifecycle, nodes, paths, tls, users
from labtool.environment import ssh
from labtool.inventory import Cluster, Node
from labtool.system import LabError, run, say
from labtool.table import render

PORTS = {"imap": 143, "imaps": 993, "pop3": 110, "pop3s": 995, "lmtp": 24, "sieve": 4190}

# A node's tier is the first of these that it belongs to; the services are those that must run there.
TIERS = (
    ("dovecot_loadbalancers", "load balancer", ("haproxy", "keepalived")),
    ("dovecot_proxies", "proxy", ("dovecot",)),
    ("dovecot_directors", "director", ("dovecot",)),
    ("dovecot_backends", "backend", ("dovecot",)),
)
HEADER = ("TIER", "NODE", "ADDRESS", "ROLE", "STATE")

# What is asked of a node, by group; each answer is marked by its name. One ssh a node asks all.
QUESTIONS = {
    "dovecot_loadbalancers": {"addresses": "ip -json -4 addr show"},
    "dovecot_directors": {
        "ring": "doveadm -f json director ring status",
        "director": "doveadm -f json director status",
    },
    "dovecot_replicated": {
        "replication": "doveadm -f json replicator status",
        "replicated users": "doveadm -f json replicator status '*'",
    },
}
MARK = "--- answer: "


@dataclass
class Answer:
    """What a node told: the text of each answer, or None when it could not be asked at all."""

    texts: dict[str, str] | None
    services: dict[str, str] = field(default_factory=dict)

    def rows(self, question: str) -> list[dict[str, Any]]:
        """The rows of a JSON answer; none when the question failed."""
        try:
            found = json.loads((self.texts or {}).get(question, ""))
        except ValueError:
            return []
        return [row for row in found if isinstance(row, dict)] if isinstance(found, list) else []


def current() -> Cluster:
    """The cluster that this checkout has on this machine."""
    variant = lifecycle.current_variant()
    owner = nodes.owner()
    if variant is None or owner is None:
        raise LabError("There is no lab of this checkout on this machine. Make one with: ./lab up")
    if owner[0] != str(paths.ROOT):
        raise LabError(
            f"The lab on this machine now belongs to the checkout {owner[0]} (variant {owner[1]}).\nTake it over with: ./lab up"
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
        "ports": PORTS,
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
    """Print the table and how to log in; 1 when something is not as it should be."""
    cluster = current()
    answers = dict(zip((n.name for n in cluster.nodes), nodes.in_parallel(ask, cluster.nodes), strict=True))
    assigned = assignments(answers)
    rows, healthy = [], True
    for node in cluster.nodes:
        state, good = judge(cluster, node, answers[node.name], assigned)
        healthy = healthy and good
        tier = tier_of(node)[0]
        rows.append((tier, node.name, node.address, f"partition {node.partition}" if node.partition else "", state))
    if cluster.vip and not any("holds the VIP" in row[4] for row in rows):
        healthy = False
        say(f"Nobody holds the VIP {cluster.vip}.")
    print(f"Cluster {cluster.variant}, {cluster.inventory.relative_to(paths.ROOT)}\n")
    print(render([HEADER, *rows]))
    print(f"\n{how_to_log_in(cluster)}")
    return 0 if healthy else 1


def tier_of(node: Node) -> tuple[str, tuple[str, ...]]:
    return next(((tier, services) for group, tier, services in TIERS if group in node.groups), ("node", ()))


def ask(node: Node) -> Answer:
    """Ask a node everything there is to know about its groups."""
    services = tier_of(node)[1]
    script = [f"echo '{MARK}unit {unit}'; systemctl is-active {unit}" for unit in services]
    for group, questions in QUESTIONS.items():
        if group in node.groups:
            # A director that has lost its ring answers late; the table must not wait for it.
            script += [f'echo; echo "{MARK}{name}"; timeout 10 {command} 2>/dev/null' for name, command in questions.items()]
    try:
        result = run([*ssh(node.address), "\n".join([*script, "true"])], check=False, timeout=40)
    except LabError:
        return Answer(None)
    return understand(result.stdout) if result.returncode == 0 else Answer(None)


def understand(text: str) -> Answer:
    """Take apart what a node printed."""
    texts: dict[str, str] = {}
    for part in text.split(MARK)[1:]:
        name, _, content = part.partition("\n")
        texts[name] = content.strip()
    services = {name.removeprefix("unit "): content for name, content in texts.items() if name.startswith("unit ")}
    return Answer(texts, services)


def judge(cluster: Cluster, node: Node, answer: Answer, assigned: dict[str, str]) -> tuple[str, bool]:
    """A node's state in words, and whether it is as it should be."""
    if answer.texts is None:
        return "unreachable", False
    if stopped := [f"{name} stopped" for name, state in answer.services.items() if state != "active"]:
        return ", ".join(stopped), False
    words: list[str] = []
    good = True
    if "dovecot_loadbalancers" in node.groups:
        words.append("holds the VIP" if cluster.vip and holds(answer, cluster.vip) else "standby")
    if "dovecot_directors" in node.groups:
        text = ring_state(answer.rows("ring"))
        words.append(text)
        good = good and text == "ring synced"
    if "dovecot_backends" in node.groups and node.address in assigned:
        words.append(assigned[node.address])
    if "dovecot_replicated" in node.groups:
        text, fine = replication_state(answer.rows("replication"), answer.rows("replicated users"))
        words.append(text)
        good = good and fine
    return ", ".join(words) or "running", good


def holds(answer: Answer, vip: str) -> bool:
    return any(entry.get("local") == vip for link in answer.rows("addresses") for entry in link.get("addr_info", []))


def ring_state(rows: list[dict[str, Any]]) -> str:
    """Only the row of the director itself tells whether the ring is in sync."""
    return next((str(row.get("status")) for row in rows if row.get("type") == "self"), "no answer from the ring")


def assignments(answers: dict[str, Answer]) -> dict[str, str]:
    """What the ring says of each backend, in words, as the first director that answers tells it."""
    for answer in answers.values():
        if rows := answer.rows("director"):
            return {str(row.get("mail server ip")): _assignment(row) for row in rows}
    return {}


def _assignment(row: dict[str, Any]) -> str:
    users = str(row.get("users", 0))
    words = "1 user" if users == "1" else f"{users} users"
    if row.get("state") != "up":
        return f"{words}, down at the directors"
    return f"{words}, drained" if row.get("vhosts") == "0" else words


def replication_state(summary: list[dict[str, Any]], listed: list[dict[str, Any]]) -> tuple[str, bool]:
    """Queue and failures in words; a queue is no fault, a failed user is."""
    counts = {str(row.get("field")): str(row.get("value")) for row in summary}
    if not counts:
        return "no answer from the replicator", False
    queued = sum(int(value) for name, value in counts.items() if name.startswith("Queued") and value.isdigit())
    failed = [str(row.get("username")) for row in listed if row.get("failed") == "y"]
    text = f"replication: {queued} queued, {len(failed)} failed"
    return (f"{text} ({', '.join(failed[:3])})" if failed else text), not failed


def how_to_log_in(cluster: Cluster) -> str:
    chosen = users.one_of_each_partition(cluster)
    lines = [
        "Log in:",
        f"  IMAP   openssl s_client -quiet -connect {cluster.entry}:{PORTS['imaps']} -CAfile {tls.ca_file(cluster)}",
    ]
    for user in chosen:
        try:
            lines.append(f"         a login {user.name} {users.password_of(cluster, user)}")
        except LabError:
            lines.append(f"         a login {user.name} PASSWORD (made by the first './lab up' that converges)")
    lines += [
        f"  shell  {shlex.join(ssh(cluster.nodes[0].address))}",
        "  tools  ./lab run ansible all -m ping",
    ]
    return "\n".join(lines)
