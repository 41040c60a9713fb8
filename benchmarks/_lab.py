"""What the benchmarks share: the running lab, and how a figure is printed."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

# The exit status of a benchmark that does not fit the running cluster, as test runners have it.
UNFIT = 77
CHECKOUT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(CHECKOUT / "molecule" / "shared"))

from topologies import inventory  # noqa: E402


def status():
    """The running lab, as `./lab status --json` tells it."""
    done = subprocess.run([CHECKOUT / "lab", "status", "--json"], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit("This benchmark needs a running cluster: ./lab up")
    return json.loads(done.stdout)


def fits(condition, needed):
    """Ends a benchmark whose cluster is another one than the running."""
    if not condition:
        print(f"  not measured: needs {needed}", flush=True)
        sys.exit(UNFIT)


def on(node, command):
    """What a command prints on a node of the lab; it must succeed."""
    return subprocess.run([*node["ssh"], command], capture_output=True, text=True, check=True).stdout


def deploy(hosts=None, limit=None, **variables):
    """The running nodes as this inventory has them, or as their own."""
    words = [
        *(["--inventory", hosts] if hosts else []),
        *(["--limit", limit] if limit else []),
        "--extra-vars",
        json.dumps(variables),
    ]
    done = subprocess.run(
        [CHECKOUT / "lab", "run", "ansible-playbook", CHECKOUT / "playbooks/site.yml", *words],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        sys.exit(done.stdout)


def deploy_as(lab, tree, limit=None, **variables):
    """The running nodes as these hosts have them."""
    with tempfile.TemporaryDirectory() as place:
        deploy(inventory(lab, Path(place) / "inventory", tree), limit, **variables)


def rate(act, clients, seconds):
    """How often a second several clients at once can do something, each with a number of its own."""
    begin = time.monotonic()

    def repeat(client):
        count = 0
        while time.monotonic() - begin < seconds:
            act(client)
            count += 1
        return count / (time.monotonic() - begin)

    with ThreadPoolExecutor(clients) as pool:
        return sum(pool.map(repeat, range(clients)))


def count(connection):
    """Messages of the selected folder, as the IMAP server told with its last answer."""
    connection.noop()
    told = connection.untagged_responses.get("EXISTS")
    return int(told[-1]) if told else 0


def machine():
    """One line about the machine that was measured on."""
    model = next(
        (
            line.split(":", 1)[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        "unknown processor",
    )
    memory = int(Path("/proc/meminfo").read_text().split()[1]) // 1024 // 1024
    return f"{os.cpu_count()} cores ({model}), {memory} GiB, all nodes on this one machine"


def show(name, value):
    print(f"  {name:<66} {value}", flush=True)


def spread(values, unit, digits=1):
    """Median and p99 in words."""
    ordered = sorted(values)
    p99 = ordered[min(len(ordered) - 1, round(0.99 * len(ordered)))]
    return f"median {statistics.median(values):.{digits}f} {unit}, p99 {p99:.{digits}f} {unit}, {len(values)} samples"
