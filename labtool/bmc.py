"""The power of virtual machines by IPMI, as a server's management controller (BMC) has it: for clusters that fence their nodes.

OpenIPMI's simulator speaks the protocol, one for each machine, at a port of its own of this machine's address on the nodes'
network.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import signal
import string
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from labtool import packages, paths, processes, tls, vm
from labtool.environment import forget_connections
from labtool.inventory import Cluster, Node
from labtool.system import LabError, run, say

PROGRAM = "ipmi_sim"
USER = "fence"
LENGTH = 16  # of the password; IPMI 2.0 has room for 20
ALLOWED = "none md2 md5 straight"
CONFIGURATION = """name "{name}"
set_working_mc 0x20
  startlan 1
    addr {address} {port}
    priv_limit admin
    allowed_auths_callback {allowed}
    allowed_auths_user {allowed}
    allowed_auths_operator {allowed}
    allowed_auths_admin {allowed}
    guid {guid}
  endlan
  chassis_control "{program}"
  user 1 true "" "" user 10 {allowed}
  user 2 true "{user}" "{password}" admin 10 {allowed}
"""

# What the simulator runs for each request, which clients repeat after a second. They ask again and again whether the machine is
# on, and Python may take a second for that where much is going on.
POWER = """#!/bin/sh
case "$*" in
    "get power")
        if [ -e {told} ]; then echo "power:$(cat {told})"
        elif flock --exclusive --nonblock {console} true; then echo power:0
        else echo power:1
        fi ;;
    set*) exec {python} -P -m labtool.bmc {name} "$@" ;;
esac
"""
COMMANDS = """mc_setbmc 0x20
mc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02 persist_sdr
sel_enable 0x20 1000 0x0a
mc_enable 0x20
"""


def folder(name: str) -> Path:
    return vm.folder(name) / "bmc"


def ensure(cluster: Cluster) -> None:
    """A BMC that answers for each machine that has one; what an earlier run has left at work stays."""
    packages.ensure("openipmi")
    password = ensure_password(cluster)
    for node in cluster.nodes:
        if node.bmc:
            _ensure(node, configuration(cluster, node, password))


def ensure_password(cluster: Cluster) -> str:
    """That of all BMCs of an inventory, in a file beside it that is made once."""
    file = tls.folder(cluster) / "bmc_password"
    if not file.exists():
        file.parent.mkdir(mode=0o700, exist_ok=True)
        draft = file.with_suffix(".new")
        draft.touch(mode=0o600)
        draft.write_text("".join(secrets.choice(string.ascii_letters + string.digits) for _place in range(LENGTH)) + "\n")
        draft.rename(file)
    password = file.read_text().strip()
    if not re.fullmatch("[A-Za-z0-9]{1,20}", password):
        raise LabError(f"The password in {file} is not 1 to 20 letters and digits. Remove the file, and the lab makes one.")
    return password


def configuration(cluster: Cluster, node: Node, password: str) -> str:
    return CONFIGURATION.format(
        name=node.name,
        address=cluster.gateway,
        port=node.bmc,
        allowed=ALLOWED,
        guid=node.name.encode().hex()[:32].ljust(32, "0"),
        program=folder(node.name) / "power",
        user=USER,
        password=password,
    )


def _ensure(node: Node, wanted: str) -> None:
    place = folder(node.name)
    file, log = place / "lan.conf", place / "log"
    if any(_processes(place)) and file.exists() and file.read_text() == wanted:
        resume(node)
        return
    _kill_all(place)
    run(["rm", "-rf", place])
    # The password is in it.
    place.mkdir(mode=0o700)
    (place / "state").mkdir()
    file.write_text(wanted)
    (place / "commands").write_text(COMMANDS)
    (place / "power").write_text(program_of_power(node.name))
    (place / "power").chmod(0o700)
    say(f"  the BMC of {node.name} is at UDP port {node.bmc}")
    with log.open("a") as output:
        process = subprocess.Popen(
            command(place), stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd="/", start_new_session=True
        )
    time.sleep(0.2)
    if process.poll() is not None:
        raise LabError(f"The BMC of {node.name} does not start at UDP port {node.bmc}: {log.read_text()[-500:]}")


def program_of_power(name: str) -> str:
    return POWER.format(name=name, told=_told(name), console=vm.console(name), python=sys.executable)


def command(place: Path) -> list[str]:
    """The words that start a simulator. Its folder is among them: so it is found again."""
    return [PROGRAM, "-n", "-c", f"{place / 'lan.conf'}", "-f", f"{place / 'commands'}", "-s", f"{place / 'state'}"]


def remove() -> None:
    """All of them, also when their records are lost. Before the machines, which they would switch on."""
    _kill_all(paths.VM_NODES)


def pause(node: Node) -> None:
    """Let it hang: it does not answer any more."""
    _refuse_without(node)
    for pid in _processes(folder(node.name)):
        os.kill(pid, signal.SIGSTOP)


def resume(node: Node) -> None:
    _refuse_without(node)
    for pid in _processes(folder(node.name)):
        os.kill(pid, signal.SIGCONT)


def keep_off(node: Node) -> None:
    """Let the machine be one that does not boot, whatever power its BMC gives it, until it is started by let_boot."""
    _refuse_without(node)
    _told(node.name).write_text(f"{vm.machine(node.name).running:d}")


def let_boot(name: str) -> None:
    _told(name).unlink(missing_ok=True)


def _told(name: str) -> Path:
    """Of a machine that does not boot, the power that it has by its BMC's word: 0 or 1."""
    return vm.folder(name) / "does-not-boot"


def _refuse_without(node: Node) -> None:
    if not node.bmc:
        raise LabError(f"Node {node.name} has no BMC. Give it lab_bmc: PORT in the inventory.")


def _processes(place: Path) -> Iterator[int]:
    """The simulators whose files are in a folder."""
    return (pid for pid, words in processes.command_lines() if runs_from(words, place))


def runs_from(words: Sequence[str], place: Path) -> bool:
    return Path(words[0]).name == PROGRAM and any(word.startswith(f"{place}/") for word in words)


def _kill_all(place: Path) -> None:
    """With what they have started, except for machines."""
    for pid in _processes(place):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)


def obey(name: str, orders: Sequence[str]) -> None:
    """Do what the simulator wants, in its words: power 0, power 1, reset 1."""
    for what, value in zip(orders[::2], orders[1::2], strict=True):
        if what == "reset" or (what, value) == ("power", "0"):
            switch_off(name)
        if what == "reset" or (what, value) == ("power", "1"):
            switch_on(name)


def switch_off(name: str) -> None:
    """As the power is cut; when this has ended, nothing of the machine runs."""
    vm.kill(name)
    forget_connections()
    if _told(name).exists():
        _told(name).write_text("0")


def switch_on(name: str) -> None:
    if _told(name).exists():
        _told(name).write_text("1")
    else:
        vm.start(vm.machine(name))


if __name__ == "__main__":
    obey(sys.argv[1], sys.argv[3:])
