"""A unified cgroup tree for podman, even on a machine with a v1 or hybrid one.

crun refuses to run on such a machine. The remedy is a private mount namespace in which a plain cgroup2 is mounted over
/sys/fs/cgroup. All podman commands must run in the same namespace, because only there the network namespaces that podman mounts
are visible. A sleeping process keeps it alive. It is found by its name, because a pid in a file might belong to another process
by now. Where the tree is unified already, none of this is needed.
"""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

from labtool import paths, processes
from labtool.system import LabError, run

HOLDER_NAME = f"mailcluster-lab-holder:{paths.STATE}"
HOLD = f"umount -R /sys/fs/cgroup && mount -t cgroup2 cgroup2 /sys/fs/cgroup && exec -a {HOLDER_NAME} sleep infinity"


def needed() -> bool:
    return run(["stat", "-fc", "%T", "/sys/fs/cgroup"]).stdout.strip() != "cgroup2fs"


def prefix() -> list[str]:
    """The words to put before a podman command; starts the holder if there is none."""
    if not needed():
        return []
    # If only the holder was killed, the monitors of its containers are still in the namespace.
    living = holders() or [pid for pid in processes.monitors() if _is_unified(pid)]
    return ["nsenter", "-t", str(living[0] if living else _start()), "-m", "--"]


def holders() -> list[int]:
    return [pid for pid, words in processes.command_lines() if words[:1] == [HOLDER_NAME] and _is_unified(pid)]


def _is_unified(pid: int) -> bool:
    try:
        mounts = Path(f"/proc/{pid}/mounts").read_text().splitlines()
    except OSError:
        return False
    return any(line.split()[1:3] == ["/sys/fs/cgroup", "cgroup2"] for line in mounts)


def _start() -> int:
    process = subprocess.Popen(
        ["unshare", "--mount", "--propagation", "private", "bash", "-c", HOLD],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        cwd="/",
        # In its own session: it must outlive this command, and Ctrl-C must not reach it.
        start_new_session=True,
    )
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and process.poll() is None:
        if process.pid in holders():
            return process.pid
        time.sleep(0.02)
    process.kill()
    told = process.stderr.read().decode(errors="replace").strip() if process.stderr else ""
    raise LabError(
        f"Could not create a mount namespace with a unified cgroup tree for podman ({told or 'no reason given'}).\n"
        "The lab needs root with CAP_SYS_ADMIN, or a machine with cgroup v2 at /sys/fs/cgroup."
    )


def stop() -> bool:
    """End the holder, and return whether there was one."""
    found = holders()
    for pid in found:
        processes.kill(pid)
    return bool(found)
