"""What a proxy costs: logins a second and the time of one, through a proxy and at the backend itself, in one run."""

from __future__ import annotations

import itertools
import statistics
import time
from concurrent.futures import ThreadPoolExecutor

from _lab import fits, machine, show, status
from clients import Clients

CLIENTS = 8
SECONDS = 10
SAMPLES = 100


def ways(lab):
    """Title to (address, user): the shortest way to the same mail, and those with a proxy in between."""
    nodes = {node["name"]: node for node in lab["nodes"]}
    backends = [node for node in lab["nodes"] if "dovecot_backends" in node["groups"]]
    proxies = [node for node in lab["nodes"] if "dovecot_proxies" in node["groups"]]
    home = backends[0]
    user = next(user["name"] for user in lab["users"] if user["partition"] == home["partition"])
    found = {"the backend itself": (home["address"], user)}
    if proxies:
        found["a dedicated proxy"] = (proxies[0]["address"], user)
        found["the load balancer and a dedicated proxy"] = (lab["vip"], user)
    else:
        found["an implicit proxy"] = (nodes[backends[1]["name"]]["address"], user)
    return found


def login(clients, address, user):
    begin = time.monotonic()
    with clients.imap(user, host=address, folder=None):
        return time.monotonic() - begin


def rate(clients, address, user):
    """Logins a second from several clients at once, each with a connection and TLS of its own."""
    end = time.monotonic() + SECONDS

    def repeat(_client):
        return sum(1 for _login in itertools.takewhile(
            lambda _taken: time.monotonic() < end, (login(clients, address, user) for _ in itertools.count())))
    with ThreadPoolExecutor(CLIENTS) as pool:
        return sum(pool.map(repeat, range(CLIENTS))) / SECONDS


def main():
    lab = status()
    fits(any(group.endswith("_proxies") for node in lab["nodes"] for group in node["groups"]),
         "a partitioned cluster: ./lab up partitioned_dedicated, or partitioned_implicit")
    clients = Clients(lab)
    print(f"\nLogins by IMAPS, {machine()}")
    found = ways(lab)
    times = {title: [] for title in found}
    for _sample in range(SAMPLES):  # in turn, so that a change of the machine's speed meets all
        for title, (address, user) in found.items():
            times[title].append(login(clients, address, user) * 1000)
    direct = statistics.median(times["the backend itself"])
    for title, (address, user) in found.items():
        median = statistics.median(times[title])
        more = "" if median == direct else f", {median - direct:.1f} ms more"
        show(f"a login at {title}", f"median {median:.1f} ms{more}")
        show(f"logins a second at {title}, {CLIENTS} clients", f"{rate(clients, address, user):.0f}")


if __name__ == "__main__":
    main()
