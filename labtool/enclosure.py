"""A part of the machine by itself: a network, mounts, processes and a lab of its own, that nobody outside sees.

Each scenario runs in one, so that several can have the same addresses at the same time, beside a lab that is up. The paths are
the same inside; what stands behind them is not. An enclosure's processes end with the one that made it, however that ends.
"""

from __future__ import annotations

import contextlib
import fcntl
import ipaddress
import os
import shlex
from collections.abc import Iterator
from pathlib import Path

from labtool import network, paths
from labtool.system import LabError, run, try_lock

# Of the range that RFC 2544 sets aside, a network for each enclosure, with this machine's address and the enclosure's.
UPLINKS = tuple(ipaddress.IPv4Network("198.18.0.0/24").subnets(new_prefix=30))
PREFIX = "mcup-"  # of the interface on this machine; not that of machines, which are removed by theirs
SPACE = "mailcluster-"  # of the network namespace

# Inside, as its first process: it reaps what podman leaves, and all ends with it. sysfs shows the devices of the network that
# mounts it. A unified tree stays the very one, since a new mount would change its options for all; on a machine with another it
# is mounted plainly, which works (see cgroups.py).
SETUP = """set -eu
case $(stat -fc %T /sys/fs/cgroup) in
    cgroup2fs) mount --bind /sys/fs/cgroup {place}/cgroup ;;
    *) mount -t cgroup2 cgroup2 {place}/cgroup ;;
esac
mount -t sysfs sysfs /sys
mount --bind {place}/cgroup /sys/fs/cgroup
for own in /dev/shm /run/containers /run/crun /run/netns {state}; do
    mkdir -p "$own"
    mount -t tmpfs -o mode=0755 tmpfs "$own"
done
mount --bind {place}/resolv.conf /etc/resolv.conf
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
def wanted() -> Iterator[None]:
    """While this is entered, nobody removes what enclosures stand on."""
    with (paths.STATE / "enclosures.lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        yield


def in_use() -> bool:
    """Whether somebody has enclosures now, or is about to."""
    with (paths.STATE / "enclosures.lock").open("a") as file:
        return not try_lock(file)


@contextlib.contextmanager
def _claim(name: str) -> Iterator[int]:
    """Of those that several runs of ./lab may want, this one, and a number that no other has now."""
    locks = paths.STATE / "enclosures"
    locks.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as held:
        if not try_lock(held.enter_context((locks / name).open("a"))):
            raise LabError(f"The scenario {name} is being run on this machine by somebody else. Wait until that has ended.")
        yield _free_number(held, locks)


def _free_number(held: contextlib.ExitStack, locks: Path) -> int:
    for number, uplink in enumerate(UPLINKS):
        if try_lock(held.enter_context((locks / f"number-{number}").open("a"))):
            # One that a killed run has left; with this end the other one goes.
            run(["ip", "link", "delete", f"{PREFIX}{number}"], check=False)
            if network.is_free(uplink):
                return number
    raise LabError("Scenarios need a network of 198.18.0.0/24 each for their way out, and all are in use on this machine.")


def inside() -> bool:
    return MARK in os.environ


def _lay_out(name: str) -> None:
    servers = network.nameservers()
    if not servers:
        raise LabError(
            "/etc/resolv.conf names only this machine as a name server, and a scenario has a network of its own.\n"
            "Name one there that other machines can ask."
        )
    (place(name) / "cgroup").mkdir(parents=True)
    (place(name) / "resolv.conf").write_text("".join(f"nameserver {server}\n" for server in servers))
    for shared in SHARED:
        shared.mkdir(parents=True, exist_ok=True)
        (place(name) / shared.relative_to(paths.STORE)).mkdir(parents=True)


def _connect(name: str, number: int) -> None:
    """A way out, for Debian's packages; nothing comes in."""
    outer, inner = f"{PREFIX}{number}", f"{PREFIX}{number}i"
    ours, theirs = UPLINKS[number].hosts()
    space, mtu = _space(name), str(network.current_mtu())
    run(["ip", "netns", "add", space])
    run(["ip", "link", "add", outer, "mtu", mtu, "type", "veth", "peer", "name", inner, "mtu", mtu, "netns", space])
    run(["ip", "address", "add", f"{ours}/30", "dev", outer])
    run(["ip", "link", "set", outer, "up"])
    inside = ["ip", "-netns", space]
    run([*inside, "link", "set", "lo", "up"])
    run([*inside, "address", "add", f"{theirs}/30", "dev", inner])
    run([*inside, "link", "set", inner, "up"])
    run([*inside, "route", "add", "default", "via", str(ours)])
    network.let_out(f"{theirs}/32", name)


def _space(name: str) -> str:
    return f"{SPACE}{name}"


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
    if name in _spaces():
        run(["ip", "netns", "delete", _space(name)], check=False, to_the_end=True)
    run(["rm", "-rf", "--one-file-system", place(name)], to_the_end=True)


def _spaces() -> list[str]:
    """The enclosures that have a network."""
    return [path.name.removeprefix(SPACE) for path in Path("/run/netns").glob(f"{SPACE}*")]


def remove_all() -> list[str]:
    """What runs that were killed have left."""
    left = sorted({*_spaces(), *(path.name for path in paths.ENCLOSURES.glob("*"))})
    for name in left:
        _remove(name)
    for interface in network.interfaces(PREFIX):
        run(["ip", "link", "delete", interface], check=False)
    run(["rm", "-rf", "--one-file-system", paths.ENCLOSURES])
    return [f"enclosure {name}" for name in left]
