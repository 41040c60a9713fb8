"""The lab's processes, found without podman's help."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

from labtool import paths


def pids() -> Iterator[int]:
    return (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())


def _own() -> Iterator[int]:
    """Without those in containers, and those in enclosures, which look the same but belong to someone else."""
    own = os.readlink("/proc/self/ns/pid")
    for pid in pids():
        with contextlib.suppress(OSError):
            if os.readlink(f"/proc/{pid}/ns/pid") == own:
                yield pid


def command_lines() -> Iterator[tuple[int, list[str]]]:
    """The lab's processes and their command lines. A process that ends meanwhile is skipped."""
    for pid in _own():
        with contextlib.suppress(OSError):
            yield pid, Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").rstrip("\0").split("\0")


def monitors() -> dict[int, str]:
    """The conmon processes of our containers, and whose container each one watches."""
    storage = f"{paths.PODMAN_ROOT}/"
    return {
        pid: words[words.index("-c") + 1]
        for pid, words in command_lines()
        if Path(words[0]).name == "conmon" and "-c" in words and any(word.startswith(storage) for word in words)
    }


def containers() -> set[str]:
    """The ids of our containers, running or not."""
    stored = (path.name for path in (paths.PODMAN_ROOT / "overlay-containers").glob("[0-9a-f]" * 64))
    return {*stored, *monitors().values()}


def contained(containers: set[str]) -> list[int]:
    """The processes of these containers. Their cgroup contains the id, even if the monitor and the state are gone."""
    marks = [f"libpod-{container}" for container in containers]
    found = []
    for pid in pids() if marks else ():
        with contextlib.suppress(OSError):
            groups = Path(f"/proc/{pid}/cgroup").read_text()
            if any(mark in groups for mark in marks):
                found.append(pid)
    return found


def cpu_seconds() -> float:
    """The processor time of this lab's processes, and of their children that have ended."""
    ticks = 0
    for pid in pids():
        with contextlib.suppress(OSError):
            # The fields of proc(5) after the name, which is in parentheses and may contain anything.
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += sum(map(int, fields[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")


def leads_its_group(pid: int) -> bool:
    try:
        return os.getpgid(pid) == pid
    except ProcessLookupError:
        return False


def kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
