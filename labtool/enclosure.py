"""A part of the machine by itself: a network, mounts, processes and a lab of its own, that nobody outside sees.

Each scenario runs in one, so that several can have the same addresses at the same time, beside a lab that is up. The paths are
the same inside; what stands behind them is not. An enclosure's processes end with the one that made it, however that ends.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shlex
from collections.abc import Iterator
from pathlib import Path

from labtool import network, paths
from labtool.system import LabError, run

# Of the range that RFC 2544 sets aside, a /30 for each enclosure: this machine's address and the enclosure's.
UPLINKS = "198.18.{number}.{host}"
PREFIX = "mcup-"  # of the interface on this machine; not that of machines, which are removed by theirs
HIGHEST = 250

# Inside, as its first process: it reaps what podman leaves, and all ends with it. sysfs shows the devices of the network that
# mounts it; the unified tree is mounted plainly, which works on machines that have another (see cgroups.py).
SETUP = """set -eu
mount -t sysfs sysfs /sys
mount -t cgroup2 cgroup2 /sys/fs/cgroup
for own in /dev/shm /run/containers /run/netns {state}; do
    mkdir -p "$own"
    mount -t tmpfs -o mode=0755 tmpfs "$own"
done
{shared}
mount --rbind {place} {store}
for own in {secrets}; do
    mount -t tmpfs -o mode=0700 tmpfs "$own"
done
export {mark}=yes
set +e
"$@"
exit $?
"""
# Set inside.
MARK = "LAB_ENCLOSED"
SHARED = (paths.IMAGES, paths.VM_KERNELS, paths.VM_IMAGES)


def place(name: str) -> Path:
    """What stands behind the lab's store inside."""
    return paths.ENCLOSURES / name


@contextlib.contextmanager
def opened(name: str) -> Iterator[list[str]]:
    """Gives the words to put before a command that is to run inside; removes all that is left of it afterwards."""
    with _claim(name) as number:
        _remove(name)
        try:
            _lay_out(name)
            _connect(name, number)
            yield _words(name)
        finally:
            _remove(name)


@contextlib.contextmanager
def _claim(name: str) -> Iterator[int]:
    """Of those that several runs of ./lab may want, this one, and a number that no other has now."""
    paths.ENCLOSURES.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as held:
        if not _locked(held, f"{name}.lock"):
            raise LabError(f"The scenario {name} is being run on this machine by somebody else. Wait until that has ended.")
        yield next(number for number in range(HIGHEST) if _locked(held, f"number-{number}.lock"))


def _locked(held: contextlib.ExitStack, name: str) -> bool:
    file = held.enter_context((paths.ENCLOSURES / name).open("w"))
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def inside() -> bool:
    return MARK in os.environ


def in_use() -> bool:
    """Whether there is one now."""
    with contextlib.ExitStack() as held:
        return not all(_locked(held, file.name) for file in paths.ENCLOSURES.glob("*.lock"))


def _lay_out(name: str) -> None:
    for shared in SHARED:
        shared.mkdir(parents=True, exist_ok=True)
        (place(name) / shared.relative_to(paths.STORE)).mkdir(parents=True)


def _connect(name: str, number: int) -> None:
    """A way out, for Debian's packages; nothing comes in."""
    outer, inner = f"{PREFIX}{number}", f"{PREFIX}{number}i"
    ours, theirs = (UPLINKS.format(number=number, host=host) for host in (1, 2))
    space, mtu = _space(name), str(network.current_mtu())
    run(["ip", "netns", "add", space])
    run(["ip", "link", "add", outer, "mtu", mtu, "type", "veth", "peer", "name", inner, "mtu", mtu, "netns", space])
    run(["ip", "address", "add", f"{ours}/30", "dev", outer])
    run(["ip", "link", "set", outer, "up"])
    inside = ["ip", "-netns", space]
    run([*inside, "link", "set", "lo", "up"])
    run([*inside, "address", "add", f"{theirs}/30", "dev", inner])
    run([*inside, "link", "set", inner, "up"])
    run([*inside, "route", "add", "default", "via", ours])
    network.let_out(f"{theirs}/32", name)


def _space(name: str) -> str:
    return f"mailcluster-{name}"


def _words(name: str) -> list[str]:
    setup = SETUP.format(
        mark=MARK,
        state=paths.STATE,
        store=paths.STORE,
        place=place(name),
        secrets=" ".join(shlex.quote(str(folder)) for folder in _secrets()),
        shared="; ".join(f"mount --bind {there} {place(name) / there.relative_to(paths.STORE)}" for there in SHARED),
    )
    return [
        *("setpriv", "--pdeathsig", "KILL", "--"),
        *("nsenter", f"--net=/run/netns/{_space(name)}"),
        *("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation", "private"),
        *("bash", "-c", setup, name),
    ]


def _secrets() -> list[Path]:
    """Beside the inventories, where passwords and certificates are made: a test may change those of its own nodes."""
    found = [path.parent / ".secrets" for path in paths.INVENTORIES.glob("*/hosts.yml")]
    for folder in found:
        folder.mkdir(mode=0o700, exist_ok=True)
    return found


def _remove(name: str) -> None:
    """Its processes have ended; a run that was killed leaves the rest."""
    network.keep_in(name)
    if Path(f"/run/netns/{_space(name)}").exists():
        run(["ip", "netns", "delete", _space(name)], check=False)
    run(["rm", "-rf", "--one-file-system", place(name)])


def remove_all() -> list[str]:
    """What runs that were killed have left."""
    left = [path.name for path in paths.ENCLOSURES.glob("*") if path.is_dir()]
    for name in left:
        _remove(name)
    run(["rm", "-rf", "--one-file-system", paths.ENCLOSURES])
    return [f"enclosure {name}" for name in left]
