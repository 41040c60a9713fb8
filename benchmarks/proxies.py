"""What a proxy costs: logins a second and the time of one, through a proxy and at the backend itself, in one run."""

from __future__ import annotations

import statistics
import time
from contextlib import contextmanager
from pathlib import Path

import yaml
from _lab import deploy, deploy_as, fits, machine, rate, show, status
from clients import Clients

CLIENTS = 8
SECONDS = 10
SAMPLES = 100


def dedicated(lab):
    """Title to (address, user): the shortest way to the mail, and those with a proxy in between."""
    home, user = home_and_user(lab)
    proxy = members(lab, "dovecot_proxies")[0]
    return {
        "the backend itself": (home["address"], user),
        "a dedicated proxy": (proxy["address"], user),
        "the load balancer and a dedicated proxy": (lab["vip"], user),
    }


def implicit(lab):
    home, user = home_and_user(lab)
    other = next(node for node in members(lab, "dovecot_backends") if node["name"] != home["name"])
    return {
        "the backend itself, which is an implicit proxy too": (home["address"], user),
        "an implicit proxy": (other["address"], user),
    }


def home_and_user(lab):
    home = members(lab, "dovecot_backends")[0]
    return home, next(user["name"] for user in lab["users"] if user["partition"] == home["partition"])


def members(lab, group):
    return [node for node in lab["nodes"] if group in node["groups"]]


@contextmanager
def implicit_proxies(lab):
    """The same backends without the proxies before them; afterwards as the inventory has them."""
    backends = yaml.safe_load(Path(lab["inventory"]).read_text())["dovecot_cluster"]["children"]["dovecot_backends"]
    tree = {
        "dovecot_cluster": {
            "children": {"dovecot_backends": backends, "dovecot_implicit_proxies": {"hosts": dict.fromkeys(backends["hosts"])}}
        }
    }
    deploy_as(lab, tree, dovecot_vip="")
    yield
    deploy()


def login(clients, address, user):
    begin = time.monotonic()
    with clients.imap(user, host=address, folder=None):
        return time.monotonic() - begin


def measure(clients, ways, direct=None):
    """Prints the figures of some ways; gives the median at the backend itself, with which the others are compared."""
    times = {title: [] for title in ways}
    for _sample in range(SAMPLES):  # in turn, so that a change of the machine's speed meets all
        for title, (address, user) in ways.items():
            times[title].append(login(clients, address, user) * 1000)
    for title, (address, user) in ways.items():
        median = statistics.median(times[title])
        more = "" if direct is None else f", {median - direct:+.1f} ms"
        direct = direct or median
        show(f"a login at {title}", f"median {median:.1f} ms{more}")
        # each with a connection and TLS of its own
        logins = rate(lambda _client, way=(address, user): login(clients, *way), CLIENTS, SECONDS)
        show(f"logins a second at {title}, {CLIENTS} clients", f"{logins:.0f}")
    return direct


def main():
    lab = status()
    fits(
        any("dovecot_proxies" in node["groups"] for node in lab["nodes"]),
        "a partitioned cluster with dedicated proxies: ./lab up partitioned_dedicated",
    )
    clients = Clients(lab)
    print(f"\nLogins by IMAPS, {machine()}")
    direct = measure(clients, dedicated(lab))
    with implicit_proxies(lab):
        measure(clients, implicit(lab), direct)


if __name__ == "__main__":
    main()
