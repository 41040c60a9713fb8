"""What a proxy costs: logins a second and the time of one, through a proxy and at the backend itself, in one run."""

from __future__ import annotations

import itertools
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import yaml
from _lab import CHECKOUT, fits, machine, show, status
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
    source = Path(lab["inventory"])
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "inventory"
        shutil.copytree(source.parent, folder, ignore=shutil.ignore_patterns(".secrets"))
        (folder / ".secrets").symlink_to(source.parent / ".secrets")
        backends = yaml.safe_load(source.read_text())["dovecot_cluster"]["children"]["dovecot_backends"]
        (folder / "hosts.yml").write_text(yaml.safe_dump({"dovecot_cluster": {"children": {
            "dovecot_backends": backends, "dovecot_implicit_proxies": {"hosts": dict.fromkeys(backends["hosts"])}}}}))
        deploy("--inventory", folder / "hosts.yml", "--extra-vars", "dovecot_vip=''")
        yield
    deploy()


def deploy(*words):
    done = subprocess.run([CHECKOUT / "lab", "run", "ansible-playbook", CHECKOUT / "playbooks/site.yml", *words],
                          capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(done.stdout)


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
        show(f"logins a second at {title}, {CLIENTS} clients", f"{rate(clients, address, user):.0f}")
    return direct


def main():
    lab = status()
    fits(any("dovecot_proxies" in node["groups"] for node in lab["nodes"]),
         "a partitioned cluster with dedicated proxies: ./lab up partitioned_dedicated")
    clients = Clients(lab)
    print(f"\nLogins by IMAPS, {machine()}")
    direct = measure(clients, dedicated(lab))
    with implicit_proxies(lab):
        measure(clients, implicit(lab), direct)


if __name__ == "__main__":
    main()
