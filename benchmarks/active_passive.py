"""How long clients of an active/passive pair get nothing when its active node or a part of it fails, and what took that long."""

from __future__ import annotations

import subprocess
import sys
import time
import xml.etree.ElementTree as ET

from _lab import CHECKOUT, fits, machine, show, status

sys.path.insert(0, str(CHECKOUT))

from active_passive import Pair, longest, under_load  # noqa: E402
from clients import Clients, eventually  # noqa: E402
from faults import cut, join  # noqa: E402
from fixtures import nodes_of  # noqa: E402

AIMS = {"the active node is killed": 35, "switched over": 15, "Dovecot is killed": 10, "Dovecot hangs": 20}
BOUND = 150  # seconds


def power(verb, node):
    subprocess.run([sys.executable, "-m", "labtool", f"node-{verb}", node.name], check=True, capture_output=True, cwd=CHECKOUT)


def standby(node, value):
    node.run("crm_attribute --node %s --name standby --update %s --lifetime forever", node.name, value)


def failures(pair):
    """What fails, and how it is set right again; each takes the active node."""
    found = {
        "Dovecot is killed": (lambda node: node.run("systemctl kill --kill-who=main --signal=KILL dovecot"), None),
        "Dovecot hangs": (lambda node: node.run("systemctl kill --signal=STOP dovecot"), None),
        "switched over": (lambda node: standby(node, "on"), lambda node: standby(node, "off")),
        # a BMC switches it on again
        "the active node is killed": (lambda node: power("kill", node), None if pair.bmcs else lambda node: power("start", node)),
    }
    if pair.drbd:
        # otherwise the active node goes on, and clients see nothing of it
        found["the nodes lose each other"] = (lambda _node: cut(pair.nodes), lambda _node: join(pair.nodes))
    return found


def actions(node, since):
    """Pacemaker's actions since then, with the seconds that each took."""
    found = {}
    for entry in ET.fromstring(node.run("cibadmin --query --scope status")).iter("lrm_rsc_op"):
        if int(entry.get("last-rc-change") or 0) >= int(since) and entry.get("operation") not in ("monitor", "notify"):
            found[(entry.get("operation_key") or "").rsplit("_", 1)[0]] = int(entry.get("exec-time") or 0) / 1000
    return found


def measured(pair, clients, users, fail, fix):
    """Seconds without any delivery or session, and the actions of Pacemaker in that time."""
    node, began = pair.await_whole(), time.time()
    with under_load(pair, clients, users, pause=0.3) as load:
        fail(node)
        eventually(lambda: load.outages, BOUND, "mail that goes through again", interval=0.5)
        steps = actions(pair.active(), began)
        if fix:
            fix(node)
        pair.await_whole()
    pair.active().run("crm_resource --cleanup --quiet")
    return longest(load), steps


def main():
    lab = status()
    nodes = nodes_of(lab)
    members = nodes.of("dovecot_active_passive")
    fits(len(members) == 2, "one active/passive pair: ./lab up active_passive, or ./lab up active_passive_san")
    drbd = "lab_iscsi" not in members[0].groups
    pair, clients = Pair(members, drbd=drbd, bmcs=drbd), Clients(lab)
    users = [user["name"] for user in lab["users"]][:2]
    kind = "with DRBD" if drbd else "on a LUN"
    print(f"\nAn active/passive pair {kind} under load: deliveries and IMAP sessions of 2 users; {machine()}")
    for title, (fail, fix) in failures(pair).items():
        seconds, steps = measured(pair, clients, users, fail, fix)
        aim = f" (aim {AIMS[title]} s)" if title in AIMS else ""
        show(f"{title}: clients get nothing for", f"{seconds:.1f} s{aim}")
        print("    " + ", ".join(f"{name} {took:.1f} s" for name, took in sorted(steps.items())), flush=True)


if __name__ == "__main__":
    main()
