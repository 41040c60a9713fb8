# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Takes a backend that does not answer out of the ring, and puts it back when it does.

A director sends a user to their backend whether that is alive or not. This watches every backend's greeting and tells the
ring. It leaves alone what it did not do: a backend that an operator took down or drained is not put back, and the last usable
backend of a partition is never taken out (if none answers, it is more likely that this director is cut off).

A backend whose disk is nearly full takes no mail; its users go on at a partner that does.

A backend that has just got the users of another may be slow for that alone. To send them all back would only overload the
other in turn: for a while, such a backend has more time for its greeting.

Each director's monitor also ends, at its own director, what nobody else would end:
- connections to a backend that is gone: a session or a delivery that waits for an answer would wait on;
- sessions that are elsewhere than the ring sends their user (strays). The ring does not reach sessions from before a
  reload for some seconds, and knows nobody when all directors were restarted at once; a user would stay on two backends.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import node_program

STRAYS_INTERVAL = 3  # seconds between two looks at the sessions, at the least
STRAYS_LOAD = 0.05  # the part of the time that they may take
OWN_TIMEOUT = 90  # seconds, for doveadm
# One empty file for each backend that this monitor took out: it still knows after a restart.
TAKEN_OUT = Path("/var/lib/mailcluster-dovecot/taken-out")

# What a check sees. Silent: the connection is taken, and then nothing is said in time.
# Full: it greets, and has no room for mail.
GREETS, FULL, SILENT, DEAD = "greets", "full", "silent", "dead"


@dataclass(frozen=True)
class Settings:
    interval: float  # seconds between checks
    timeout: float  # seconds for the greeting
    fall: int  # checks in a row that fail before a backend is taken out
    rise: int  # checks in a row that succeed before it is put back
    hold: float  # seconds in which a backend that got another's users may be slow
    hold_timeout: float  # seconds for its greeting meanwhile
    port: int  # where backends greet
    greeting: str  # what a healthy one says first
    farewell: str  # how to leave politely
    agent_port: int  # tells whether there is room for mail
    # the ports of a backend where sessions and deliveries go to
    sessions: list[int]
    deliveries: list[int]


class Backend(NamedTuple):
    """As the ring has it."""

    tag: str
    usable: bool


Backends = Mapping[str, Backend]  # by address


def receivers(before: Backends, now: Backends) -> set[str]:
    """Backends that got users, as another of their partition was usable before and is no more, for whatever reason."""
    usable = {host for host, backend in now.items() if backend.usable}
    shrank = {backend.tag for host, backend in before.items() if backend.usable and host not in usable}
    return {host for host in usable if now[host].tag in shrank}


class Rules:
    """What follows from the checks. A streak: checks in a row, positive when they succeeded."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def count(self, streak: int, seen: str, may_be_slow: bool) -> int:
        """The streak after one more check; one that may be slow had the time of several."""
        if seen == GREETS:
            return max(streak, 0) + 1
        if seen == SILENT and may_be_slow:
            return min(streak, -self.settings.fall)
        return min(streak, 0) - 1

    def decide(self, backends: Backends, streaks: Mapping[str, int], taken_out: Collection[str]) -> list[tuple[str, str]]:
        """What to tell the ring: (word, host) pairs; taken_out: hosts that are out because of this monitor."""
        told = []
        usable = {host for host, backend in backends.items() if backend.usable}
        for host, (tag, _usable) in sorted(backends.items()):
            streak = streaks.get(host, 0)
            others = [other for other in usable if other != host and backends[other].tag == tag and streaks.get(other, 0) > 0]
            if host in usable and streak <= -self.settings.fall and others:
                told.append(("down", host))
                usable.discard(host)
            elif host in taken_out and streak >= self.settings.rise:
                told.append(("up", host))
        return told

    def gone(self, backends: Backends, streaks: Mapping[str, int], seen: Mapping[str, str]) -> Iterator[tuple[str, list[int]]]:
        """Backends that do not answer, and are not merely full, with the ports whose connections have no sense any more.

        The last backend of a partition stays in the ring and its sessions with it, but a delivery is better tried again.
        """
        deliveries, sessions = self.settings.deliveries, self.settings.sessions
        for host, backend in sorted(backends.items()):
            if streaks.get(host, 0) <= -self.settings.fall and seen.get(host) != FULL:
                yield host, deliveries if backend.usable else deliveries + sessions


class Checks:
    """A check a round for each backend; that of a backend that may be slow may go on while others begin and end."""

    def __init__(self, rules: Rules, pool: ThreadPoolExecutor) -> None:
        self.settings, self.rules, self.pool = rules.settings, rules, pool
        self.running: dict[str, tuple[bool, Future[str]]] = {}

    def look(self, backends: Backends, slow: Collection[str], streaks: dict[str, int]) -> dict[str, str]:
        """Count what was seen in streaks, and give it, by host."""
        for host in backends:
            if host not in self.running:
                patience = self.settings.hold_timeout if host in slow else self.settings.timeout
                self.running[host] = host in slow, self.pool.submit(self.check, host, patience)
        wait([future for _may_be_slow, future in self.running.values()], self.settings.timeout)
        wait([future for may_be_slow, future in self.running.values() if not may_be_slow])
        seen = {}
        for host, (may_be_slow, future) in list(self.running.items()):
            if not future.done():
                streaks[host] = min(streaks.get(host, 0), 0)  # meanwhile no place for the users of another
                continue
            del self.running[host]
            seen[host] = future.result()
            streaks[host] = self.rules.count(streaks.get(host, 0), seen[host], may_be_slow)
        return seen

    def check(self, host: str, patience: float) -> str:
        settings = self.settings
        try:
            with socket.create_connection((host, settings.port), settings.timeout) as connection:
                connection.settimeout(patience)  # for what follows too
                try:
                    greeting = connection.recv(64)
                except TimeoutError:
                    return SILENT
                connection.sendall(settings.farewell.encode() + b"\r\n")
                if not greeting.startswith(settings.greeting.encode()):
                    return DEAD
            return GREETS if self.has_room(host) else FULL
        except OSError:
            return DEAD

    def has_room(self, host: str) -> bool:
        """What the backend says of its disk; while it says nothing, there is room."""
        try:
            with socket.create_connection((host, self.settings.agent_port), self.settings.timeout) as connection:
                return not connection.recv(64).startswith(b"drain")
        except OSError:
            return True


def end_connections(host: str, ports: list[int]) -> None:
    """By the kernel, since the process that has such a connection waits for it."""
    any_port = " or ".join(f"dport = :{port}" for port in ports)
    command = ["ss", "-K", "-H", "-t", "-n", "dst", host, f"( {any_port} )"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if ended := len(done.stdout.splitlines()):
        print(f"{host} does not answer: ended {ended} connections to it", flush=True)


def read_sessions(table: str) -> set[tuple[str, str]]:
    """(user, host) pairs of the table that `doveadm proxy list` prints, in which each process repeats the header."""
    rows = (line.split("\t") for line in table.splitlines())
    return {(row[0], row[3]) for row in rows if len(row) == 5 and row[3] not in ("dest ip", "dest-ip")}


def read_map(table: str) -> dict[str, str]:
    """user -> host"""
    rows = (line.split("\t") for line in table.splitlines()[1:])
    return {row[0]: row[2] for row in rows}


def find_strays(sessions: Collection[tuple[str, str]], assigned: Mapping[str, str], backends: Backends) -> set[tuple[str, str]]:
    """Sessions that are elsewhere than their user, or at a backend that takes nobody, of a user whom the ring does not know."""

    def strays(user: str, host: str) -> bool:
        if user in assigned:
            return assigned[user] != host
        return host not in backends or not backends[host].usable

    return {(user, host) for user, host in sessions if strays(user, host)}


class Strays:
    """A session is ended when it strays at two looks: in between, the director had its time to end it."""

    def __init__(self) -> None:
        self.seen: set[tuple[str, str]] = set()
        self.next_look = 0.0

    def look(self, backends: Backends) -> None:
        began = time.monotonic()
        if began < self.next_look:
            return
        sessions = read_sessions(doveadm("proxy", "list"))
        strays = find_strays(sessions, self.places({user for user, _host in sessions}), backends) if sessions else set()
        for user, host in sorted(strays & self.seen):
            doveadm("proxy", "kick", user)
            print(f"{user} had a session at {host}, where the ring does not send them: ended", flush=True)
        self.seen = strays
        took = time.monotonic() - began
        self.next_look = began + max(STRAYS_INTERVAL, took / STRAYS_LOAD)

    @staticmethod
    def places(users: Collection[str]) -> dict[str, str]:
        with tempfile.NamedTemporaryFile("w", encoding="utf-8") as names:
            names.write("".join(f"{user}\n" for user in users))
            names.flush()
            return read_map(doveadm("director", "map", "-f", names.name))


def doveadm(*words: str, form: str = "tab") -> str:
    done = node_program.doveadm("-f", form, *words, timeout=OWN_TIMEOUT)
    if done.returncode != 0:
        raise OSError(f"doveadm {' '.join(words)}: {node_program.complaint(done)}")
    return done.stdout


def read_backends() -> dict[str, Backend]:
    rows = json.loads(doveadm("director", "status", form="json") or "[]")
    return {row["mail server ip"]: Backend(row["tag"], row["state"] == "up" and int(row["vhosts"]) > 0) for row in rows}


def act(word: str, host: str) -> None:
    if word == "down":
        # first the note: a monitor that dies in between puts the backend back, not for ever out
        (TAKEN_OUT / host).touch()
        doveadm("director", "down", host)
        print(f"{host} does not answer or has no room: taken out, its users go on at the partner", flush=True)
        doveadm("director", "flush", host)
    else:
        doveadm("director", "up", host)
        (TAKEN_OUT / host).unlink(missing_ok=True)
        print(f"{host} answers and has room again: put back", flush=True)


class Monitor:
    """What is known of the backends from one round to the next."""

    def __init__(self, settings: Settings, pool: ThreadPoolExecutor) -> None:
        self.settings, self.rules, self.strays = settings, Rules(settings), Strays()
        self.checks = Checks(self.rules, pool)
        self.before: Backends = {}
        self.streaks: dict[str, int] = {}
        self.slow_until: dict[str, float] = {}

    def look(self) -> None:
        now, backends = time.monotonic(), read_backends()
        self.slow_until.update(dict.fromkeys(receivers(self.before, backends), now + self.settings.hold))
        self.before = backends
        seen = self.checks.look(backends, {host for host, until in self.slow_until.items() if now < until}, self.streaks)
        for host, ports in self.rules.gone(backends, self.streaks, seen):
            end_connections(host, ports)
        for word, host in self.rules.decide(backends, self.streaks, {path.name for path in TAKEN_OUT.iterdir()}):
            act(word, host)
        self.strays.look(backends)


def main() -> None:
    settings = Settings(**node_program.settings_of("monitor"))
    TAKEN_OUT.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(max_workers=32) as pool:
        monitor = Monitor(settings, pool)
        while True:
            started = time.monotonic()
            try:
                monitor.look()
            except (OSError, ValueError, KeyError, subprocess.SubprocessError) as error:
                # this director is starting or the ring has no agreement: the next round will tell
                print(f"not checked: {error}", file=sys.stderr, flush=True)
            time.sleep(max(0, started + settings.interval - time.monotonic()))


if __name__ == "__main__":
    main()
