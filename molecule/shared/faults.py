"""What can go wrong with an ideal cluster, one thing at a time, and how each is repaired."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

from clients import eventually
from disks import BallastOn, on_small_disk
from pairs import cut_off

HELD = 8  # seconds that a fault lasts at the least
LOW = 30  # MiB, less than the reserve of the small disk
WHOLE = 120  # seconds in which the cluster must be whole again


@dataclass(frozen=True)
class Fault:
    """C(occur) takes the cluster and the node that it happens to, and gives what repairs it."""

    title: str
    group: str
    occur: Callable


class Cluster:
    """What faults need: the nodes, their power, and the playbooks."""

    def __init__(self, nodes, users, power, ansible, vip_holder, is_whole):
        self.nodes, self.users, self.power, self.ansible = nodes, users, power, ansible
        self.vip_holder, self.is_whole = vip_holder, is_whole

    def victim(self, group, number):
        """The node that somebody will miss: who has the VIP, a director, where a user is, of each partition in turn."""
        if group == "dovecot_loadbalancers":
            return self.vip_holder()
        directors = self.nodes.of("dovecot_directors")
        if group == "dovecot_directors":
            return directors[number % len(directors)]
        partition, names = list(self.users.items())[number % len(self.users)]

        def place():
            told = directors[0].doveadm("director", "status", names[0], partition)[0]["status"]
            return [node for node in self.nodes.pair_of(partition) if node.address == told]

        # a ring that has just begun sends nobody anywhere
        return eventually(place, 30, f"a backend for {names[0]}")[0]

    def await_whole(self):
        eventually(self.is_whole, WHOLE, "a whole cluster", interval=1)


def killed(cluster, node):
    cluster.power.kill(node)
    return lambda: cluster.power.start(node)


def rebooted(cluster, node):
    """Back before anybody has missed it for long."""
    cluster.power.kill(node)
    cluster.power.start(node)
    return lambda: None


def hung(unit):
    def occur(_cluster, node):
        node.run(f"systemctl kill --signal=STOP {unit}")
        return lambda: node.run(f"systemctl kill --signal=CONT {unit}")

    return occur


def crashed(unit):
    """systemd starts it again."""

    def occur(_cluster, node):
        node.run(f"kill -KILL $(systemctl show --property MainPID --value {unit})")
        return lambda: None

    return occur


def isolated(_cluster, node):
    """Only ssh goes in and out."""
    for chain, hook, rules in (
        ("in", "input", ("iif lo accept", "tcp dport 22 accept", "drop")),
        ("out", "output", ("oif lo accept", "tcp sport 22 accept", "drop")),
    ):
        node.run(f"nft 'add table inet isolated; add chain inet isolated {chain} {{ type filter hook {hook} priority -20; }}'")
        node.run("; ".join(f"nft add rule inet isolated {chain} {rule}" for rule in rules))
    return lambda: node.run("nft delete table inet isolated")


def cut(nodes):
    """The nodes reach each other no more, by no protocol. This machine, their BMCs and other nodes they reach still."""
    for node in nodes:
        _lab("part", node)


def join(nodes):
    for node in nodes:
        _lab("rejoin", node)


def _lab(verb, node):
    subprocess.run([sys.executable, "-m", "labtool", f"node-{verb}", node.name], check=True, capture_output=True)


def hang_bmc(node):
    """Nobody can switch the node off or on, or tell whether it is on, until resume_bmc."""
    _lab("pause-bmc", node)


def resume_bmc(node):
    _lab("resume-bmc", node)


def keep_off(node):
    """The node does not boot any more after it was switched off, whatever its BMC says, until the lab starts it."""
    _lab("keep-off", node)


def break_disk(node):
    """Whatever is read from or written to the volume of a node of the group lab_lvm fails."""
    node.run("dmsetup wipe_table --noflush lab-mail")


def repair_disk(node):
    """The volume is what LVM has it for again, with what was on it."""
    node.run("lvchange --refresh lab/mail")


def pair_parted(cluster, node):
    link = cut_off(cluster.nodes.pair_of(node.partition))
    link.__enter__()
    return lambda: link.__exit__(None, None, None)


def disk_full(cluster, node):
    disk = on_small_disk(node, cluster.await_whole)
    disk.__enter__()
    ballast = BallastOn(node, room=LOW)
    eventually(lambda: node.run("cat /run/mailcluster-dovecot/space.passwd"), 60, "a backend that says its disk is nearly full")

    def fix():
        ballast.remove()
        cluster.await_whole()
        disk.__exit__(None, None, None)

    return fix


def deployed(cluster, _node):
    """A setting changes on all nodes while they are at work, and back."""
    for value in (77, None):
        words = ["-e", f'{{"dovecot_settings": {{"mail_max_userip_connections": {value}}}}}'] if value else []
        done = cluster.ansible("site.yml", *words)
        assert done.returncode == 0, done.stdout[-3000:]
    return lambda: None


BALANCER, DIRECTOR, BACKEND = "dovecot_loadbalancers", "dovecot_directors", "dovecot_backends"
FAULTS = [
    Fault("a backend loses its power", BACKEND, killed),
    Fault("the load balancer with the VIP loses its power", BALANCER, killed),
    Fault("a backend hangs", BACKEND, hung("dovecot")),
    Fault("a director loses its power", DIRECTOR, killed),
    Fault("a backend is cut off", BACKEND, isolated),
    Fault("haproxy hangs where the VIP is", BALANCER, hung("haproxy")),
    Fault("the nodes of a pair are parted", BACKEND, pair_parted),
    Fault("a director hangs", DIRECTOR, hung("dovecot")),
    Fault("a backend is rebooted", BACKEND, rebooted),
    Fault("Dovecot crashes on a director", DIRECTOR, crashed("dovecot")),
    Fault("Dovecot crashes on a backend", BACKEND, crashed("dovecot")),
    Fault("a disk is full", BACKEND, disk_full),
    Fault("a deployment changes a setting", DIRECTOR, deployed),
]


@dataclass(frozen=True)
class Outcome:
    """Seconds: the longest that a delivery and an action by IMAP took, and until the cluster was whole again."""

    title: str
    node: str
    delivery: float
    imap: float
    whole: float


def happen(fault, number, cluster, load):
    """One fault from its beginning until the cluster is whole again."""
    node, began = cluster.victim(fault.group, number), time.monotonic()
    fix = fault.occur(cluster, node)
    time.sleep(max(0, HELD - (time.monotonic() - began)))
    repaired = time.monotonic()
    fix()
    cluster.await_whole()
    whole = time.monotonic() - repaired
    # what hangs since then ends, and counts here
    time.sleep(2)
    return Outcome(fault.title, node.name, load.waits.longest("delivery", began), load.waits.longest("IMAP", began), whole)
