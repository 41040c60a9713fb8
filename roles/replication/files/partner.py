# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Watches the partner, and synchronises all users with it when it is back.

The replicator by itself tries a failed user again after five minutes only, and does not know what a crash kept
from its queue. So whenever the partner answers again (and when this node has just started), every user is queued
once, and who fails, then or later, is queued again after ten seconds, and less often the longer it goes on.

What was being synchronised when the partner was lost may wait here for ten minutes, for what never comes, and keep the
user's mailbox locked against every other synchronisation: such connections are ended first.

The file that the settings name as ahead says 1 while this node holds the VIP and the partner may lack mail that came in
here. keepalived leaves the VIP here that long, unless Dovecot fails.

The replicator knows whom the user database has listed to it. A database that lists a part only (a directory with a size
limit), or could not be asked, is asked again; until it lists all, nobody can say that the partner lacks nothing.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

import node_program

ADDRESSES = Path("/proc/net/fib_trie")
INTERVAL = 1  # second
ARRIVAL = 0.3  # seconds between two looks for the VIP
TIMEOUT = 3  # seconds, for the partner
OWN_TIMEOUT = 30  # seconds, for programs here; many users take doveadm a while
RETRY, LONGEST_RETRY = 10, 300  # seconds
RESUME = 5  # seconds after an outage until what it has interrupted goes on, unless its other half is gone
APPEAR = 3  # seconds until the replicator, told to add users, has them or has dropped them
MANY = 100  # users; more are queued with all others in one go
LOAD = 0.1  # the part of the time that listing the users may take


class Failed(Exception):
    """A program of this node does not answer."""


@dataclass(frozen=True)
class Settings:
    name: str  # of the partner
    address: str
    port: int  # where it takes dsync
    tls: bool
    vip: str  # address, or empty where there is none
    ahead: str  # the file for keepalived


def run(*argv: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(argv, capture_output=True, text=True, timeout=OWN_TIMEOUT, check=False)
    except subprocess.TimeoutExpired as error:
        raise Failed(f"{' '.join(argv)} gave no answer for {OWN_TIMEOUT} s") from error


def output_of(*argv: str) -> str:
    done = run(*argv)
    if done.returncode != 0:
        raise Failed(f"{' '.join(argv)}: {node_program.complaint(done)}")
    return done.stdout


class Node:
    """This node: what it sees of the pair, and what it can do."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def replicator(self, *words: str) -> str:
        return output_of("doveadm", "-f", "json", "replicator", *words)

    def listing(self) -> tuple[set[str], bool]:
        """The names that the user database lists, and whether these are all."""
        done = run("doveadm", "user", "*")
        return set(done.stdout.split("\n")) - {""}, done.returncode == 0

    def answers(self) -> bool:
        """Whether the partner's Dovecot takes part: one that hangs takes connections, but says nothing."""
        try:
            with self.secured(socket.create_connection((self.settings.address, self.settings.port), TIMEOUT)) as connection:
                connection.sendall(b"VERSION\tdoveadm-server\t1\t0\n")
                return bool(connection.recv(1))
        except OSError:
            return False

    def secured(self, connection: socket.socket) -> socket.socket:
        """No mail goes this way: who answers is not checked, dsync does that."""
        if not self.settings.tls:
            return connection
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return context.wrap_socket(connection)

    def syncs(self) -> dict[int, int]:
        """Processes here that synchronise with the partner, of whichever side they began -> bytes that each has received."""
        ours = f"( dport = :{self.settings.port} or sport = :{self.settings.port} )"
        listed = output_of("ss", "-O", "-H", "-t", "-n", "-i", "-p", "state", "established", "dst", self.settings.address, ours)
        found = {}
        for line in listed.splitlines():
            process, received = re.search(r'"doveadm[^"]*",pid=([0-9]+)', line), re.search(r"bytes_received:([0-9]+)", line)
            if process:
                found[int(process.group(1))] = int(received.group(1)) if received else 0
        return found

    def end(self, process: int) -> None:
        """Without a chance to write anything, see Watch."""
        with contextlib.suppress(ProcessLookupError):  # it has ended meanwhile
            os.kill(process, signal.SIGKILL)

    def holds_vip(self) -> bool:
        """By the kernel's own table: to run a program for it, three times a second, takes 2 % of a core."""
        vip = self.settings.vip
        return bool(vip) and bool(
            re.search(rf"\|-- {re.escape(vip)}\n(?: +/.*\n)*? +/32 host LOCAL\n", ADDRESSES.read_text(encoding="ascii"))
        )


def seconds(age: str) -> float:
    """Of HH:MM:SS; for a user who never had a success there is a dash, which counts as very long ago."""
    if age == "-":
        return float("inf")
    hours, minutes, rest = age.split(":")
    return int(hours) * 3600 + int(minutes) * 60 + int(rest)


class Watch:
    """began: when the pass began after which the partner has all that was here then; None while it cannot begin.

    cut: whether the user database lists a part of its users only, as far as is known.
    waiting: what syncs() told when the partner was last missed.

    A dsync whose other half is gone waits ten minutes for what never comes, and its user cannot be synchronised meanwhile. When
    it ends by itself, or its connection is cut, it first writes what it has gathered so far, though others may have synchronised
    the user since: mail is then there twice, comes back, or is taken for expunged. So its process is killed, and writes nothing.
    """

    def __init__(self, node: Node, name: str, say: Callable[[str], None] = print, clock: Callable[[], float] = time.time) -> None:
        self.node = node
        self.name = name  # of the partner
        self.say = say
        self.clock = clock
        self.began: int | None = None
        self.queued = self.whole = self.silent = self.held = self.cut = False
        self.next_look = self.next_retry = self.next_listing = self.settled = 0.0
        self.waiting: dict[int, int] = {}
        self.missed = 0.0
        self.pause = self.listing_pause = RETRY

    def look(self) -> bool:
        """One round; whether the partner may lack mail of this node while clients come here."""
        holds, held = self.node.holds_vip(), self.held
        self.held = holds
        if holds and not held:
            # told before the partner is asked, which may take seconds that keepalived does not wait
            self.began = None
            return True
        if not self.node.answers():
            self.miss()
            return holds
        if self.waiting and self.clock() >= self.missed + RESUME:
            self.end_what_waits()
            self.waiting = {}
        if self.began is None or self.clock() < self.began - 2:  # or the clock was set back
            # doveadm tells whole seconds: what is synchronised in this one cannot be told from what was just before
            self.began = self.next_look = int(self.clock()) + 1
            self.queued = self.whole = False
        elif self.clock() >= self.next_look:
            self.go_on(self.began)
        return holds and (self.began is None or not self.whole)

    def miss(self) -> None:
        if not self.silent:
            self.say(f"{self.name} does not answer")
        # what has begun since the look before may have found the partner back
        self.waiting, self.missed = self.end_what_waits(), self.clock()
        self.silent, self.began = True, None

    def end_what_waits(self) -> dict[int, int]:
        """Ends what has received nothing since it was looked at; what there is beside it."""
        now = self.node.syncs()
        dead = [process for process, received in now.items() if self.waiting.get(process) == received]
        for process in dead:
            self.node.end(process)
        if dead:
            self.say(f"ended {len(dead)} synchronisations that waited for {self.name}")
        return {process: received for process, received in now.items() if process not in dead}

    def go_on(self, began: int) -> None:
        if not self.queued:
            self.begin()
        elif self.whole and not self.somebody_failed():
            self.pause, self.next_look = RETRY, self.clock() + RETRY
        else:
            self.look_after_users(began)

    def begin(self) -> None:
        self.listing_pause = RETRY
        self.look_for_users()
        self.node.replicator("replicate", "*")
        self.say(f"{self.name} answers: synchronising all users")
        self.queued, self.silent = True, False
        self.pause, self.next_retry = RETRY, self.clock() + RETRY

    def look_for_users(self) -> None:
        """Has the replicator know whom the user database lists, and notes whether these are all."""
        names, complete = self.node.listing()
        if not names <= {user["username"] for user in self.known()}:
            self.node.replicator("add", "--", "*")
            self.settled = self.clock() + APPEAR
        if not complete and not self.cut:
            self.say(
                f"doveadm user '*' lists {len(names)} users and fails, so there may be others: {self.name} may lack their "
                "mail, and the VIP is kept from it. Is there a size limit in the directory? Raise it for Dovecot's account"
            )
        elif complete and self.cut:
            self.say(f"doveadm user '*' lists all users, {len(names)}")
        self.cut = not complete
        self.next_listing = self.clock() + self.listing_pause
        self.listing_pause = min(2 * self.listing_pause, LONGEST_RETRY)

    def known(self) -> list[dict[str, str]]:
        return json.loads(self.node.replicator("status", "*") or "[]")

    def somebody_failed(self) -> bool:
        rows = json.loads(self.node.replicator("status"))
        return any(int(row["value"]) for row in rows if "failed" in row["field"])

    def look_after_users(self, began: int) -> None:
        if self.cut and self.clock() >= self.next_listing:
            self.look_for_users()
        asked = self.clock()
        users = self.known()
        missing = {user["username"] for user in users if int(asked) - seconds(user["success sync"]) < began}
        # missing, but neither failed nor queued: they were being synchronised when the queue was filled
        idle = {user["username"] for user in users if user["priority"] == "none"} & missing
        failed = {user["username"] for user in users if user["failed"] == "y"}
        if not missing and not self.whole and not self.cut and asked >= self.settled:
            self.whole = True
            self.say(f"all {len(users)} users are synchronised with {self.name}, {int(asked - began)} s after it answered")
        self.try_again(failed if self.whole else failed | idle)
        now = self.clock()
        self.next_look = now + max((now - asked) / LOAD, RETRY if self.whole or self.cut and not missing else 0)

    def try_again(self, names: Collection[str]) -> None:
        now = self.clock()
        if not names:
            self.pause, self.next_retry = RETRY, now + RETRY
        elif now >= self.next_retry:
            for name in ["*"] if len(names) > MANY else sorted(names):
                self.node.replicator("replicate", "--", name)
            self.next_retry = now + self.pause
            self.pause = min(2 * self.pause, LONGEST_RETRY)


def write(file: Path, ahead: bool, before: bool | None) -> bool:
    if ahead != before:
        file.write_text(f"{ahead:d}\n", encoding="ascii")
    return ahead


def note_arrivals(node: Node, file: Path, sleep: Callable[[float], None] = time.sleep) -> None:
    """Says 1 as soon as the VIP comes here: a round of the watch may take longer than keepalived needs to take it back."""
    held = True
    while True:
        try:
            holds = node.holds_vip()
            if holds and not held:
                write(file, True, None)
            held = holds
        except Failed:
            pass  # the watch says so
        sleep(ARRIVAL)


def main() -> None:
    settings = Settings(**node_program.settings_of("partner"))
    node, file, trouble = Node(settings), Path(settings.ahead), ""
    watch = Watch(node, settings.name)
    # what the file says from before may hold no longer, and keepalived believes it
    ahead = write(file, node.holds_vip(), None)
    if settings.vip:
        threading.Thread(target=note_arrivals, args=(node, file), daemon=True).start()
    while True:
        try:
            ahead, trouble = write(file, watch.look(), ahead), ""
        except Failed as error:
            ahead = write(file, watch.held, ahead)
            if str(error) != trouble:
                trouble = str(error)
                print(f"trouble here: {trouble}", flush=True)
        sys.stdout.flush()
        time.sleep(INTERVAL)


if __name__ == "__main__":
    main()
