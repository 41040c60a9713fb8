"""An enclosure has its own network, mounts, processes and lab, which nobody outside sees.

Each scenario runs in one. So several can use the same addresses at the same time, even if a lab is up. Paths inside are the
same as outside, but lead to other files. When the process that opened an enclosure ends, for whatever reason, all processes
in it end too.
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

# A network for each enclosure, from the range that RFC 2544 reserves: one address for this machine, one for the enclosure.
UPLINKS = tuple(ipaddress.IPv4Network("198.18.0.0/24").subnets(new_prefix=30))
PREFIX = "mcup-"  # of the interface on this machine; virtual machines have another, by which theirs are removed
SPACE = "mailcluster-"  # of the network namespace

# The first process inside: it reaps what podman leaves behind, and when it ends, everything ends. sysfs is mounted again because
# it shows the devices of the network namespace that mounts it. A unified cgroup tree is only bound, because a new mount would
# change its options for the whole machine. On other machines it is mounted, which works (see cgroups.py).
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
    """What the lab's store is inside."""
    return paths.ENCLOSURES / name


@contextlib.contextmanager
def opened(name: str) -> Iterator[list[str]]:
    """Open an enclosure, and yield the words to put before a command that runs inside. Afterwards, remove all of it."""
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
    """As long as this is held, nobody removes what enclosures need."""
    with (paths.STATE / "enclosures.lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        yield


def in_use() -> bool:
    """Whether anyone uses enclosures, or is about to."""
    with (paths.STATE / "enclosures.lock").open("a") as file:
        return not try_lock(file)


@contextlib.contextmanager
def _claim(name: str) -> Iterator[int]:
    """Reserve this enclosure, which another run of ./lab may also want, and yield a number that no other one has."""
    locks = paths.STATE / "enclosures"
    locks.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as held:
        if not try_lock(held.enter_context((locks / name).open("a"))):
            raise LabError(f"Someone else is running the scenario {name} on this machine. Wait until that run has ended.")
        yield _free_number(held, locks)


def _free_number(held: contextlib.ExitStack, locks: Path) -> int:
    for number, uplink in enumerate(UPLINKS):
        if try_lock(held.enter_context((locks / f"number-{number}").open("a"))):
            # A killed run may have left it. Deleting this end deletes the other one too.
            run(["ip", "link", "delete", f"{PREFIX}{number}"], check=False)
            if network.is_free(uplink):
                return number
    raise LabError("Scenarios need free networks within 198.18.0.0/24 to reach the outside. All are in use on this machine.")


def inside() -> bool:
    return MARK in os.environ


def _lay_out(name: str) -> None:
    servers = network.nameservers()
    if not servers:
        raise LabError(
            "/etc/resolv.conf names only this machine as a name server. A scenario has its own network, and cannot reach it.\n"
            "Add a name server that other machines can use."
        )
    (place(name) / "cgroup").mkdir(parents=True)
    (place(name) / "resolv.conf").write_text("".join(f"nameserver {server}\n" for server in servers))
    for shared in SHARED:
        shared.mkdir(parents=True, exist_ok=True)
        (place(name) / shared.relative_to(paths.STORE)).mkdir(parents=True)


def _connect(name: str, number: int) -> None:
    """Let it reach the outside, for Debian's packages. Nothing can reach it from there."""
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
    """The folders of passwords and certificates, beside the inventories. Each enclosure has its own, which tests may change."""
    found = [path.parent / ".secrets" for path in paths.INVENTORIES.glob("*/hosts.yml")]
    for folder in found:
        folder.mkdir(mode=0o700, exist_ok=True)
    return found


def _remove(name: str) -> None:
    """Remove what remains when its processes have ended, also after a run that was killed."""
    network.keep_in(name)
    if name in _spaces():
        run(["ip", "netns", "delete", _space(name)], check=False, to_the_end=True)
    run(["rm", "-rf", "--one-file-system", place(name)], to_the_end=True)


def _spaces() -> list[str]:
    """The enclosures that have a network."""
    return [path.name.removeprefix(SPACE) for path in Path("/run/netns").glob(f"{SPACE}*")]


def remove_all() -> list[str]:
    """Remove what killed runs have left."""
    left = sorted({*_spaces(), *(path.name for path in paths.ENCLOSURES.glob("*"))})
    for name in left:
        _remove(name)
    for interface in network.interfaces(PREFIX):
        run(["ip", "link", "delete", interface], check=False)
    run(["rm", "-rf", "--one-file-system", paths.ENCLOSURES])
    return [f"enclosure {name}" for name in left]
