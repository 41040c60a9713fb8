# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pacemaker and DRBD of an active/passive pair, as their own programs tell it."""

from __future__ import annotations

import os
import re
import time
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping
from typing import Any, Optional, TypedDict

from ansible_collections.mailcluster.dovecot.plugins.module_utils._errors import Failure
from ansible_collections.mailcluster.dovecot.plugins.module_utils._types import Run

POLL = 1.0
GROUP = ("filesystem", "dovecot", "address")


class NotRunning(Failure):
    """There is no cluster on this node, or not yet."""


class Member(TypedDict):
    online: bool
    standby: bool
    maintenance: bool
    unclean: bool
    pending: bool


class Resource(TypedDict):
    id: str
    role: str
    node: Optional[str]
    failed: bool
    managed: bool


class FailedAction(TypedDict):
    resource: str
    action: str
    node: str
    reason: str
    at: str


class Drbd(TypedDict):
    """connection: C(Connected), C(StandAlone), C(WFConnection), C(SyncSource), ...; synchronised: percent while that goes on."""

    connection: str
    role: str
    peer_role: str
    disk: str
    peer_disk: str
    out_of_sync: int
    synchronised: Optional[float]


class State(TypedDict):
    quorum: bool
    coordinator: Optional[str]
    maintenance: bool
    fencing: bool
    nodes: dict[str, Member]
    resources: list[Resource]
    failed_actions: list[FailedAction]
    fencing_actions: list[dict[str, str]]
    active: Optional[str]
    drbd: Optional[Drbd]


def call(run: Run, *argv: str, data: Optional[str] = None) -> str:
    rc, out, err = run(list(argv), data=data)
    if rc != 0:
        said = " ".join((err.strip() or out.strip()).split())[-400:]
        raise Failure("'%s' failed: %s" % (" ".join(argv), said or "exit status %d" % rc))
    return out


def live_cib(run: Run, until: float) -> ET.Element:
    """The cluster's whole configuration; waits for one that has just been started."""
    while True:
        rc, out, err = run(["cibadmin", "--query"])
        # for a moment after its start it answers with nothing
        if rc == 0 and out.strip():
            found = ET.fromstring(out)
            # before there is a coordinator, what is changed may be lost
            if found.get("dc-uuid"):
                return found
            err = "the nodes have not found each other yet"
        if time.monotonic() >= until:
            raise NotRunning(
                "Pacemaker does not answer on this node (%s): see journalctl -u corosync -u pacemaker on both nodes"
                % err.strip()[-200:]
            )
        time.sleep(POLL)


def read(run: Run, drbd: bool) -> State:
    rc, out, err = run(["crm_mon", "--output-as=xml", "--one-shot", "--inactive", "--fence-history=1"])
    try:
        root = ET.fromstring(out)
    except ET.ParseError:
        raise NotRunning("crm_mon tells nothing: %s" % " ".join(err.split())[-200:]) from None
    if rc != 0 or root.find("nodes") is None:
        message = root.find("status")
        raise NotRunning(
            "Pacemaker does not run on this node (%s)"
            % ((message.get("message") if message is not None else None) or err.strip())
        )
    return parse(root, parse_drbd(read_proc()) if drbd else None)


def read_proc(path: str = "/proc/drbd") -> str:
    if not os.path.exists(path):
        return ""
    with open(path, encoding="ascii", errors="replace") as file:
        return file.read()


def parse(root: ET.Element, drbd: Optional[Drbd]) -> State:
    """Of what crm_mon prints as XML."""
    summary = root.find("summary")
    options = dict(element.attrib) if summary is not None and (element := summary.find("cluster_options")) is not None else {}
    coordinator = summary.find("current_dc") if summary is not None else None
    nodes: dict[str, Member] = {
        node.get("name") or "": {
            "online": node.get("online") == "true",
            "standby": node.get("standby") == "true",
            "maintenance": node.get("maintenance") == "true",
            "unclean": node.get("unclean") == "true",
            "pending": node.get("pending") == "true",
        }
        for node in root.iterfind("nodes/node")
    }
    resources = list(_resources(root))
    return {
        "quorum": coordinator is not None and coordinator.get("with_quorum") == "true",
        "coordinator": coordinator.get("name") if coordinator is not None else None,
        "maintenance": options.get("maintenance-mode") == "true",
        "fencing": options.get("stonith-enabled") == "true",
        "nodes": nodes,
        "resources": resources,
        "failed_actions": [
            {
                "resource": re.sub(r"_(start|stop|monitor|promote|demote|notify)_\d+$", "", failure.get("op_key") or ""),
                "action": (re.findall(r"_([a-z]+)_\d+$", failure.get("op_key") or "") or [""])[0],
                "node": failure.get("node") or "",
                "reason": failure.get("exitreason") or failure.get("exitstatus") or "",
                "at": failure.get("last-rc-change") or "",
            }
            for failure in root.iterfind("failures/failure")
        ],
        "fencing_actions": [
            {key: event.get(key) or "" for key in ("action", "target", "status", "completed", "exit-reason")}
            for event in root.iterfind("fence_history/fence_event")
        ],
        "active": active_of(resources),
        "drbd": drbd,
    }


def _resources(root: ET.Element) -> Iterator[Resource]:
    for element in root.iterfind("resources//resource"):
        node = element.find("node")
        yield {
            "id": (element.get("id") or "").partition(":")[0],
            "role": element.get("role") or "",
            "node": node.get("name") if node is not None else None,
            "failed": element.get("failed") == "true",
            "managed": element.get("managed") == "true",
        }


def active_of(resources: list[Resource]) -> Optional[str]:
    """The node on which all that serves runs, None if there is none now."""
    places = {entry["id"]: entry["node"] for entry in resources if entry["role"] == "Started" and not entry["failed"]}
    nodes = {places.get(name) for name in GROUP}
    return nodes.pop() if len(nodes) == 1 else None


def parse_drbd(text: str) -> Drbd:
    """The first device of /proc/drbd, C(Unconfigured) while it is not started."""
    head = re.search(r"^ *0: cs:(\w+) ro:(\w+)/(\w+) ds:(\w+)/(\w+)", text, re.MULTILINE)
    if not head:
        return {
            "connection": "Unconfigured",
            "role": "Unknown",
            "peer_role": "Unknown",
            "disk": "DUnknown",
            "peer_disk": "DUnknown",
            "out_of_sync": 0,
            "synchronised": None,
        }
    amount = re.search(r"\boos:(\d+)", text)
    percent = re.search(r"sync'ed: *([\d.]+)%", text)
    return {
        "connection": head.group(1),
        "role": head.group(2),
        "peer_role": head.group(3),
        "disk": head.group(4),
        "peer_disk": head.group(5),
        "out_of_sync": int(amount.group(1)) if amount else 0,
        "synchronised": float(percent.group(1)) if percent else None,
    }


def problems(state: State, expected: Mapping[str, Any]) -> list[str]:
    """Sentences about what is not as it should be. I(expected): C(nodes), their names; C(fencing), whether there is to be any."""
    return list(_problems(state, expected))


def notices(state: State) -> list[str]:
    """Sentences about what failed, and is well now or was told already."""
    return [
        "%s of %s failed on %s at %s (%s): find out why, then crm_resource --cleanup --resource %s"
        % (failure["action"], failure["resource"], failure["node"], failure["at"], failure["reason"], failure["resource"])
        for failure in state["failed_actions"]
    ]


def _problems(state: State, expected: Mapping[str, Any]) -> Iterator[str]:
    if not state["active"]:
        yield "no node serves: see crm_mon -1 and journalctl -u pacemaker on both nodes"
    for name in expected["nodes"]:
        yield from _of_node(name, state["nodes"].get(name), state)
    if state["maintenance"]:
        yield "the cluster is in maintenance mode, so nobody takes over: crm_attribute --name maintenance-mode --delete"
    for entry in state["resources"]:
        if not entry["managed"] and not state["maintenance"]:
            yield "%s is not managed, so nobody restarts it: crm_resource --resource %s --meta --delete-parameter is-managed" % (
                (entry["id"],) * 2
            )
        stopped = entry["role"] != "Started" and all(map(_takes_part, state["nodes"].values()))
        if entry["id"].startswith("fence-") and (stopped or entry["failed"]):
            yield (
                "the fence device %s does not answer, so that node cannot be switched off: check it with stonith_admin "
                "--history, then crm_resource --cleanup --resource %s" % (entry["id"], entry["id"])
            )
    if expected["fencing"] and not state["fencing"]:
        yield "fencing is switched off in Pacemaker: run playbooks/site.yml"
    if state["drbd"]:
        yield from _of_drbd(state["drbd"])


def _of_node(name: str, node: Optional[Member], state: State) -> Iterator[str]:
    if node is None:
        yield "Pacemaker does not know %s: is corosync running there?" % name
    elif node["unclean"]:
        yield "%s does not answer and could not be switched off: nobody takes over. See stonith_admin --history '*'" % name
    elif not node["online"]:
        yield "%s is not in the cluster: start it, or corosync and pacemaker there" % name
    elif node["standby"]:
        yield "%s is on standby: playbooks/maintain_node.yml -e dovecot_node=%s -e dovecot_node_state=online" % (name, name)


def _takes_part(node: Member) -> bool:
    """Whether resources may run there: the fence device of a node stops with its partner, which asks it."""
    return node["online"] and not node["standby"]


def _of_drbd(drbd: Drbd) -> Iterator[str]:
    if drbd["connection"] == "Unconfigured":
        yield "DRBD does not run on this node: see crm_mon -1"
    elif drbd["connection"] == "StandAlone":
        yield "DRBD is not connected and does not try, as after a split brain: see what playbooks/resolve_split_brain.yml shows"
    elif drbd["connection"] in ("WFConnection", "Unconnected", "Timeout", "BrokenPipe", "NetworkFailure"):
        yield "DRBD has no connection to the other node: the mail is on one disk only"
    elif drbd["synchronised"] is not None:
        yield (
            "DRBD copies the mail to the node that lacks it, %.1f %% done: until then it is on one disk only"
            % drbd["synchronised"]
        )
    for whose, disk in (("this node", drbd["disk"]), ("the other node", drbd["peer_disk"])):
        if disk in ("Diskless", "Failed"):
            yield "the disk of %s has failed, DRBD goes on without it: replace it (docs/active_passive.md)" % whose


def is_whole(state: State, nodes: list[str]) -> bool:
    """Whether any node may die now."""
    members = [state["nodes"].get(name) for name in nodes]
    complete = all(
        member is not None and member["online"] and not member["standby"] and not member["pending"] for member in members
    )
    drbd = state["drbd"]
    return complete and (drbd is None or (drbd["connection"] == "Connected" and drbd["disk"] == drbd["peer_disk"] == "UpToDate"))
