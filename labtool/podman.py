"""podman with its own storage, network configuration and state, so that a user's podman is not affected."""

from __future__ import annotations

import json
import resource
import subprocess
from pathlib import Path
from typing import Any

from labtool import cgroups, paths
from labtool.system import LabError, complaint, run

CAP_SYS_RESOURCE = 24


def command(*words: str | Path, root: Path | None = None) -> list[str]:
    """A podman command for the lab's containers, or for those in another storage. All labs of the machine share the images."""
    return [
        *cgroups.prefix(),
        "podman",
        f"--root={root or paths.PODMAN_ROOT}",
        *([] if root else [f"--storage-opt=additionalimagestore={paths.IMAGES}"]),
        f"--runroot={paths.PODMAN_RUN}",
        f"--tmpdir={paths.PODMAN_TMP}",
        f"--network-config-dir={paths.PODMAN_NETWORKS}",
        "--network-backend=netavark",
        "--storage-driver=overlay",
        "--cgroup-manager=cgroupfs",
        "--events-backend=none",
        *(str(word) for word in words),
    ]


def podman(
    *words: str | Path, check: bool = True, timeout: float = 120, root: Path | None = None
) -> subprocess.CompletedProcess[str]:
    # If it is interrupted, it leaves layers and locks that make the next command fail.
    result = run(command(*words, root=root), check=False, timeout=timeout, to_the_end=True)
    if check and result.returncode != 0:
        raise LabError(f"podman {words[0]} failed with exit code {result.returncode}: {complaint(result)}")
    return result


def containers() -> list[dict[str, Any]]:
    """All containers of the lab. If there is no lab, podman is not even asked."""
    if not paths.PODMAN_ROOT.exists():
        return []
    result = podman("ps", "--all", "--format=json", check=False, timeout=30)
    if result.returncode != 0:
        raise LabError(f"podman cannot list the lab's nodes:\n{result.stderr.strip()}\nRemove the lab with: ./lab down")
    return json.loads(result.stdout or "[]") or []


def limits() -> list[str]:
    """Options with resource limits. crun would raise them, which fails without CAP_SYS_RESOURCE."""
    if _has_capability(CAP_SYS_RESOURCE):
        return []
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return [f"--ulimit=nofile={files}:{files}", "--ulimit=nproc=32768:32768"]


def _has_capability(number: int) -> bool:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapEff:"):
            return bool(int(line.split()[1], 16) >> number & 1)
    return False
