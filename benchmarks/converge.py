"""How long the ideal cluster takes from bare nodes, and how long a run takes that changes nothing.

Each figure stands beside what cannot be avoided: a bare apt-get install of the same packages on
eight fresh nodes, and Ansible's facts with one trivial module on the same nodes.
"""

from __future__ import annotations

import re
import statistics
import subprocess
import tempfile
import time

from _lab import CHECKOUT, machine, show

from labtool import inventory, lifecycle
from labtool.environment import environment, ssh
from labtool.nodes import in_parallel
from labtool.system import lock

REPEATS = 5
FLOOR = """
- hosts: dovecot_cluster
  gather_facts: true
  tasks:
    - ansible.builtin.ping:
"""


def packages_of(node):
    """What was installed by name."""
    return subprocess.run([*ssh(node.address), "apt-mark showmanual"], check=True, capture_output=True, text=True).stdout.split()


def bare_install(node, packages):
    command = "apt-get update && apt-get install --yes --no-install-recommends " + " ".join(packages)
    subprocess.run([*ssh(node.address), f"export DEBIAN_FRONTEND=noninteractive; {command}"], check=True, capture_output=True)


def seconds(function):
    begin = time.monotonic()
    function()
    return time.monotonic() - begin


def playbook(path, settings):
    done = subprocess.run(["ansible-playbook", path], env=settings, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(done.stdout[-4000:] + done.stderr[-2000:])
    return done.stdout


def executions(node, since):
    """Modules that ran on the node: each tells the journal what it was called with."""
    command = f"journalctl --since=@{since} --no-pager --output=cat --grep='^Invoked with' | wc -l"
    return int(subprocess.run([*ssh(node.address), command], check=True, capture_output=True, text=True).stdout)


def main():
    with lock("bench"):
        settings = environment(inventory.path_of("ideal"))
        cluster = lifecycle.create_nodes("ideal", fresh=True)
        playbook("playbooks/site.yml", settings)
        packages = {node.name: packages_of(node) for node in cluster.nodes}
        lifecycle.create_nodes("ideal", fresh=True)
        apt = seconds(lambda: in_parallel(lambda node: bare_install(node, packages[node.name]), cluster.nodes))
        lifecycle.create_nodes("ideal", fresh=True)
        first = seconds(lambda: playbook("playbooks/site.yml", settings))

        count = len(cluster.nodes)
        with tempfile.NamedTemporaryFile("w", suffix=".yml") as floor:
            floor.write(FLOOR)
            floor.flush()
            playbook("playbooks/site.yml", settings)
            # in turn, so that a change of the machine's speed meets both
            pairs = [
                (seconds(lambda: playbook("playbooks/site.yml", settings)), seconds(lambda: playbook(floor.name, settings)))
                for _repeat in range(REPEATS)
            ]
        since = int(time.time())
        time.sleep(1)
        output = playbook("playbooks/site.yml", settings)
        assert set(re.findall(r"changed=(\d+)", output)) == {"0"}, "a run that was to change nothing changed something"
        modules = [executions(node, since) for node in cluster.nodes]

    unchanged, least = (statistics.median(column) for column in zip(*pairs, strict=True))
    ratio = statistics.median(one / other for one, other in pairs)
    print(f"\nConverge, {count} nodes, {machine()}")
    show("bare apt-get install of the same packages, in parallel", f"{apt:.1f} s")
    show("first converge", f"{first:.1f} s, {first / apt:.2f} times that")
    show("facts and one trivial module", f"{least:.1f} s, {least / count:.2f} s a node")
    show("converge that changes nothing", f"{unchanged:.1f} s, {unchanged / count:.2f} s a node, {ratio:.2f} times that")
    show("its module executions a node", f"at most {max(modules)} ({min(modules)} to {max(modules)})")


if __name__ == "__main__":
    main()
