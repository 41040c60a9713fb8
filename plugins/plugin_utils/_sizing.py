# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What follows from the number of sessions that a node is made for. docs/sizing.md tells it to people."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TypedDict

from ansible_collections.mailcluster.dovecot.plugins.module_utils._node import Setting
from ansible_collections.mailcluster.dovecot.plugins.plugin_utils._services import OF_PROTOCOL

# What is there beside the sessions: clients that have not logged in, health checks, Dovecot's own processes, doveadm.
RESERVE = 1000
LOGIN_PROCESSES = (2, 16)
# What a process may need beside its sessions, and for each. Measured on Dovecot 2.3.19: 97 KiB a session with TLS in a login
# process, 14 KiB a process that reports to stats. An address space that is not used costs nothing; one that is too small ends
# the process, and all sessions in it.
BASE_KIB = 256 * 1024
LOGIN_KIB = 256
STATS_KIB = 32
# What Debian's own unit allows.
FILES = 65535
# Without these the kernel has 28,232 ports for the connections to one port of one other node.
PORTS = 28232
MORE_PORTS = "16384 60999"


class Sizing(TypedDict):
    sessions: int
    login_processes: int
    login_clients: int
    login_memory: str
    processes: dict[str, int]
    everyone: int
    stats_memory: str
    sessions_of_one_client: int
    files: int
    tasks: int
    kernel: dict[str, int | str]


def sizing(
    sessions: int | str, roles: Collection[str], cores: int | str = 1, protocols: Collection[str] = tuple(OF_PROTOCOL)
) -> Sizing:
    """The limits of Dovecot, systemd and the kernel on a node with these roles."""
    sessions = int(sessions)
    is_backend = "backend" in roles
    logins = min(max(int(cores), LOGIN_PROCESSES[0]), LOGIN_PROCESSES[1])
    # Twice the number: a login process is busy as long as a session with TLS, or one that is passed on. Whoever comes when the
    # node is full must be greeted all the same, above all those who check whether the node is alive.
    login_clients = -(-(2 * sessions + RESERVE) // logins)
    processes = {"lmtp": max(100, sessions // 50)}
    if is_backend:
        of_protocol = {"imap": ("imap", sessions), "pop3": ("pop3", sessions), "sieve": ("managesieve", max(100, sessions // 10))}
        processes.update(of_protocol[protocol] for protocol in of_protocol if protocol in protocols)
    everyone = sum(processes.values()) + len(set(protocols) - {"lmtp"}) * logins + RESERVE
    # A session that is passed on has two connections, as has one with TLS.
    files = max(FILES, 2 * login_clients + RESERVE, everyone + RESERVE)
    return {
        "sessions": sessions,
        "login_processes": logins,
        "login_clients": login_clients,
        "login_memory": "%d M" % mib(BASE_KIB + login_clients * LOGIN_KIB),
        "processes": processes,
        "everyone": everyone,
        "stats_memory": "%d M" % mib(BASE_KIB + everyone * STATS_KIB),
        # One user, from one address: what a broken client can take from all others.
        "sessions_of_one_client": max(10, sessions // 10),
        "files": files,
        # Dovecot does not count the processes of before a reload, which live as long as their sessions.
        "tasks": 2 * everyone,
        "kernel": kernel(sessions, roles, everyone),
    }


def mib(kib: int) -> int:
    return -(-kib // 1024)


def kernel(sessions: int, roles: Collection[str], everyone: int) -> dict[str, int | str]:
    """Settings of the kernel that must be at least so high."""
    settings: dict[str, int | str] = {
        # All clients of a node that has died come at once.
        "net.core.somaxconn": max(4096, sessions),
        "fs.file-max": 32 * everyone,
        "kernel.pid_max": 32768 + 2 * everyone,
        "kernel.threads-max": 32768 + 2 * everyone,
    }
    if "backend" in roles:
        # The mail user has one instance for each session in IDLE, and a few watches in it.
        settings["fs.inotify.max_user_instances"] = sessions + RESERVE
        settings["fs.inotify.max_user_watches"] = 16 * sessions
    if sessions + RESERVE > PORTS and set(roles) & {"loadbalancer", "director", "proxy"}:
        settings["net.ipv4.ip_local_port_range"] = MORE_PORTS
    return settings


def raised(needed: Mapping[str, int | str], present: Mapping[str, Setting]) -> dict[str, int | str]:
    """Those of the needed settings that are too low on a node, or that are set there by us already.

    present: setting -> C(value) that is in force, and C(ours) when our file has the setting. A value that somebody has set higher
    is left alone.
    """
    return {
        name: value
        for name, value in needed.items()
        if name in present and (present[name]["ours"] or size(present[name]["value"]) < size(value))
    }


def size(value: int | str) -> int:
    """Of a number, or of a range of numbers as the kernel writes it."""
    numbers = [int(word) for word in str(value).split()]
    return numbers[-1] if len(numbers) == 1 else numbers[-1] - numbers[0]
