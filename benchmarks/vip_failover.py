"""How long clients get no answer when what holds the VIP fails: a load balancer, or a node of a pair."""

from __future__ import annotations

import socket
import statistics
import subprocess
import sys
import time

from _lab import CHECKOUT, fits, machine, on, show, status

REPEATS = 5
AIM = 60  # seconds within which it must be over


def power(verb, node):
    subprocess.run([sys.executable, "-m", "labtool", f"node-{verb}", node["name"]], check=True, capture_output=True, cwd=CHECKOUT)


KILLED = {"the node is killed": (lambda node: power("kill", node), lambda node: power("start", node))}
OF_A_PAIR = {
    "keepalived is stopped": (
        lambda node: on(node, "systemctl stop keepalived"),
        lambda node: on(node, "systemctl start keepalived"),
    ),
    "dovecot is stopped": (lambda node: on(node, "systemctl stop dovecot"), lambda node: on(node, "systemctl start dovecot")),
    "dovecot hangs": (
        lambda node: on(node, "systemctl kill --signal=STOP dovecot"),
        lambda node: on(node, "systemctl kill --signal=CONT dovecot"),
    ),
}


def greeted(lab):
    """Whether a new client gets the greeting of IMAP at the VIP."""
    try:
        with socket.create_connection((lab["vip"], lab["ports"]["imap"]), 0.1) as connection:
            connection.settimeout(0.5)
            return connection.recv(64).startswith(b"* OK")
    except OSError:
        return False


def holder(lab, candidates):
    for node in candidates:
        if f" {lab['vip']}/" in on(node, "ip -oneline address"):
            return node
    raise SystemExit("nobody holds the VIP")


def outage(lab, candidates, fail, fix):
    """Seconds from the last answer before to the first after the failure."""
    victim = holder(lab, candidates)
    last, longest, begin = time.monotonic(), 0.0, time.monotonic()
    fail(victim)
    while time.monotonic() - begin < 10 or not greeted(lab):
        if greeted(lab):
            longest = max(longest, time.monotonic() - last)
            last = time.monotonic()
        time.sleep(0.01)
        assert time.monotonic() - begin < AIM, f"the VIP does not answer after {AIM} s"
    fix(victim)
    # a pair's preferred node takes the VIP again
    time.sleep(15)
    return longest


def main():
    lab = status()
    fits(lab["vip"], "a cluster with a VIP: ./lab up, or ./lab up replicated_pair")
    balancers = [node for node in lab["nodes"] if "dovecot_loadbalancers" in node["groups"]]
    print(f"\nThe holder of the VIP fails, {machine()}")
    for how, (fail, fix) in (KILLED if balancers else OF_A_PAIR | KILLED).items():
        outages = [outage(lab, balancers or lab["nodes"], fail, fix) for _repeat in range(REPEATS)]
        show(
            f"{how}: clients get no answer for",
            f"median {statistics.median(outages):.2f} s, at most {max(outages):.2f} s, {REPEATS} times",
        )


if __name__ == "__main__":
    main()
