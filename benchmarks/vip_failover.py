"""How long clients get no answer when the load balancer that holds the VIP is killed."""

from __future__ import annotations

import socket
import statistics
import subprocess
import sys
import time

from _lab import CHECKOUT, machine, show, status

REPEATS = 5
AIM = 60  # seconds within which it must be over


def greeted(lab):
    """Whether a new client gets the greeting of IMAP at the VIP."""
    try:
        with socket.create_connection((lab["vip"], lab["ports"]["imap"]), 0.1) as connection:
            connection.settimeout(0.5)
            return connection.recv(64).startswith(b"* OK")
    except OSError:
        return False


def holder(lab):
    for node in lab["nodes"]:
        if "dovecot_loadbalancers" in node["groups"]:
            done = subprocess.run([*node["ssh"], "ip -oneline address"], capture_output=True, text=True, check=False)
            if f" {lab['vip']}/" in done.stdout:
                return node["name"]
    raise SystemExit("nobody holds the VIP")


def power(verb, name):
    subprocess.run([sys.executable, "-m", "labtool", f"node-{verb}", name], check=True, capture_output=True, cwd=CHECKOUT)


def outage(lab):
    """Seconds from the last answer before to the first after the kill."""
    victim = holder(lab)
    killer = subprocess.Popen(
        [sys.executable, "-m", "labtool", "node-kill", victim], cwd=CHECKOUT,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    last, longest, begin = time.monotonic(), 0.0, time.monotonic()
    while killer.poll() is None or time.monotonic() - begin < 8:
        if greeted(lab):
            longest = max(longest, time.monotonic() - last)
            last = time.monotonic()
        time.sleep(0.01)
        assert time.monotonic() - begin < AIM
    while not greeted(lab):
        assert time.monotonic() - begin < AIM, f"the VIP does not answer {AIM} s after {victim} was killed"
    longest = max(longest, time.monotonic() - last)
    power("start", victim)
    time.sleep(5)
    return longest


def main():
    lab = status()
    outages = [outage(lab) for _repeat in range(REPEATS)]
    print(f"\nThe holder of the VIP is killed, {machine()}")
    show("clients get no answer for", f"median {statistics.median(outages):.2f} s, at most {max(outages):.2f} s, {REPEATS} kills")


if __name__ == "__main__":
    main()
