"""Time and memory of a module call with 100,000 users, as many rows as doveadm would print for them.

doveadm is replaced by a program that prints rows generated after the real ones (tests/unit/plugins/recorded).
What is measured is the module's whole process on this machine, without ssh.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from _lab import CHECKOUT, machine, show

USERS = 100_000
BACKENDS = [f"198.51.100.{number}" for number in (31, 32, 41, 42)]
REPEATS = 5
MODULES = CHECKOUT / "plugins" / "modules"


def user(number):
    return f"user{number:06}.some-name@department.example.org"


def ring_status():
    row = {"director ip": "198.51.100.21", "port": "9090", "type": "self", "last failed": "never", "status": "ring synced"}
    return [row]


def backend_status():
    return [
        {
            "mail server ip": host,
            "tag": "a" if host < "198.51.100.40" else "b",
            "vhosts": "100",
            "state": "up",
            "state-changed": "-",
            "users": str(USERS // 4),
        }
        for host in BACKENDS
    ]


def director_map():
    return [
        {
            "user": user(number),
            "hash": str(2654435761 * number % 2**32),
            "mail server ip": BACKENDS[number % 4],
            "expire time": f"2026-11-24 19:{number // 60 % 60:02}:{number % 60:02}",
        }
        for number in range(USERS)
    ]


def replicator_status():
    return [
        {
            "username": user(number),
            "priority": "none",
            "fast sync": f"00:{number // 60 % 60:02}:{number % 60:02}",
            "full sync": f"{number % 24:02}:10:20",
            "success sync": f"00:{number // 60 % 60:02}:{number % 60:02}",
            "failed": "y" if number % 1000 == 0 else "-",
        }
        for number in range(USERS)
    ]


def replicator_summary():
    names = [
        "Queued 'sync' requests",
        "Queued 'high' requests",
        "Queued 'low' requests",
        "Queued 'failed' requests",
        "Queued 'full resync' requests",
        "Waiting 'failed' requests",
    ]
    return [{"field": name, "value": "0"} for name in names] + [{"field": "Total number of known users", "value": str(USERS)}]


ANSWERS = {
    "director ring status": ring_status,
    "director status": backend_status,
    "director map": director_map,
    "replicator status --": replicator_status,
    "replicator status": replicator_summary,
    "replicator dsync-status": list,
}
CALLS = {
    "director_info, map: true": ("director_info", {"map": True}),
    "director_backends, flush: forget in check mode": (
        "director_backends",
        {"backends": [], "flush": "forget", "_ansible_check_mode": True},
    ),
    "replicator_info": ("replicator_info", {}),
    "replicator_info, users: '*'": ("replicator_info", {"users": "*"}),
    "replicator_user, user: '*', state: present": ("replicator_user", {"user": "*"}),
}


def fake_doveadm(folder):
    """Programs that print what was generated, the longest match first."""
    lines = ["#!/bin/sh", 'case "$*" in']
    for number, (words, rows) in enumerate(ANSWERS.items()):
        path = folder / f"answer{number}"
        path.write_text(json.dumps(rows(), separators=(",", ":")))
        lines.append(f'*"{words}"*) exec cat {path} ;;')
    users = folder / "users"
    users.write_text("".join(f"{user(number)}\n" for number in range(USERS)))
    lines += [f'"user -- "*) exec cat {users} ;;', '*) echo "unexpected: $*" >&2; exit 64 ;;', "esac"]
    for name, text in (("doveadm", "\n".join(lines)), ("doveconf", "#!/bin/sh\necho 198.51.100.31@a")):
        (folder / name).write_text(text + "\n")
        (folder / name).chmod(0o755)


def call(module, arguments, folder):
    """Seconds of one call; it must succeed."""
    given = json.dumps({"ANSIBLE_MODULE_ARGS": arguments})
    environment = {**os.environ, "PATH": f"{folder}:/usr/bin:/bin", "PYTHONPATH": str(CHECKOUT / ".lab" / "collections")}
    begin = time.monotonic()
    done = subprocess.run(
        [sys.executable, MODULES / f"{module}.py"], input=given, env=environment, capture_output=True, text=True, check=False
    )
    took = time.monotonic() - begin
    if done.returncode != 0:
        raise SystemExit(done.stdout[-1000:] + done.stderr[-1000:])
    return took


def main():
    """Each call in a process of its own, because the peak of memory is that of all children so far."""
    print(f"\nA module call with {USERS:,} users, {machine()}", flush=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        fake_doveadm(folder)
        for title, (module, arguments) in CALLS.items():
            pid = os.fork()
            if pid == 0:
                times = [call(module, arguments, folder) for _repeat in range(REPEATS)]
                peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
                show(title, f"median {statistics.median(times):.2f} s, at most {max(times):.2f} s, {peak:.0f} MiB")
                os._exit(0)
            if os.waitpid(pid, 0)[1] != 0:
                raise SystemExit(f"{title} failed")


if __name__ == "__main__":
    main()
