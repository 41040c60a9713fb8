"""Backends that share their storage: what a client sees in a mailbox, what the logs say, and two nodes at work at once."""

from __future__ import annotations

import imaplib
import re
import threading
import time
import uuid
from contextlib import contextmanager, suppress

from clients import eventually, must

MOUNT = "var-vmail.mount"
# What Dovecot says of a mailbox that is not as its files tell, in whatever format. To have waited for a lock is no such thing.
BROKEN = re.compile(
    r"(?i)(error|warning|panic|fatal):(?!.* (was locked for|took) \d+ seconds).*"
    r"(corrupt|index|transaction log|log file|uidlist|rebuil|fsck|dbox|broken|unexpectedly|cache file)")
# An sdbox message was renamed into its place, and not told to the index: the node died just there, or the file server lost its
# power and with it that it had done so, and the client asked again. The next delivery finds the file and has it indexed; UIDs
# and flags stay as they are, and the sender, who had no answer, sends again.
UNFINISHED_SAVE = re.compile(
    r"/u\.\d+ already exists, rebuilding index|: Rebuilding index$|/dovecot\.index reset, view is now inconsistent"
    r"|(rename|unlink)\([^)]*/\.temp\.[^)]*\) failed: No such file or directory$")


def clock(node):
    """The node's own time, as journalctl takes it."""
    return node.run("date '+%Y-%m-%d %H:%M:%S'").strip()


@contextmanager
def no_mailbox_broken(backends, unfinished_saves=False):
    """What the logs of the backends say meanwhile is nothing of broken indexes, but for C(unfinished_saves) if a machine died."""
    since = {node.name: clock(node) for node in backends}
    yield
    for node in backends:
        log = node.run("journalctl -u dovecot -o cat --since %s", since[node.name])
        told = [line for line in log.splitlines()
                if BROKEN.search(line) and not (unfinished_saves and UNFINISHED_SAVE.search(line))]
        assert not told, f"{node.name} complains of {len(told)} things, as {told[:3]}"


def boxes_of(clients, users, host=None):
    """The INBOX of each user by IMAP, in the form in which the mailboxes of a pair are read."""
    boxes = {}
    for user in users:
        with clients.imap(user, host=host) as connection:
            _status, found = connection.uid("FETCH", "1:*", "(UID FLAGS BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)])")
        boxes[user] = {"messages": sorted(map(message, (part for part in found if isinstance(part, tuple))))}
    return boxes


def message(part):
    told, header = part[0].decode(), part[1].decode()
    flags = re.search(r"FLAGS \(([^)]*)\)", told).group(1).split()
    return ("INBOX", int(re.search(r"UID (\d+)", told).group(1)), "", " ".join(sorted(set(flags) - {r"\Recent"})),
            header.partition(":")[2].strip())


def home_of(user, nodes):
    """The backend on which the directors have a user."""
    address = nodes["director1"].doveadm("director", "status", user, "shared")[0]["status"]
    return next(node for node in nodes.values() if node.address == address)


def unmount(*nodes):
    """Dovecot goes with its storage."""
    for node in nodes:
        node.run(f"systemctl stop dovecot && systemctl stop {MOUNT}")


class Worker:
    """One client at one node, who appends, changes flags and expunges in the mailbox that others use at the same time."""

    def __init__(self, clients, user, node, stop):
        self.clients, self.user, self.node, self.stop = clients, user, node, stop
        self.added, self.expunged, self.changes, self.failure = [], [], 0, None
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _run(self):
        try:
            while not self.stop.is_set():
                with self.clients.imap(self.user, host=self.node.address) as connection:
                    for _turn in range(10):
                        if not self.stop.is_set():
                            self._work(connection)
        except (OSError, imaplib.IMAP4.error, AssertionError) as error:
            self.failure = f"{self.node.name}: {error!r}"

    def _work(self, connection):
        name = f"{uuid.uuid4()}@{self.node.name}.example.net"
        must(connection.append("INBOX", None, None, f"Message-ID: <{name}>\r\nSubject: both\r\n\r\nx\r\n".encode()))
        self.added.append(name)
        if len(self.added) % 5 == 0:
            self.added.append(self.clients.deliver(self.user, host=self.node.address).strip("<>"))
        must(connection.noop())
        uids = must(connection.uid("SEARCH", None, "ALL"))[0].split()
        for uid in uids[len(self.added) % 7::7]:
            connection.uid("STORE", uid, "+FLAGS" if len(self.added) % 2 else "-FLAGS", r"(\Flagged)")
            self.changes += 1
        if len(self.added) > 5 and len(self.added) % 3 == 0:
            self._expunge(connection, self.added[len(self.added) // 2])

    def _expunge(self, connection, name):
        """One of this client's own, so that both sides know who has removed what."""
        found = must(connection.uid("SEARCH", None, "HEADER", "Message-ID", name))[0].split()
        if found and name not in self.expunged:
            must(connection.uid("STORE", found[0], "+FLAGS", r"(\Deleted)"))
            must(connection.uid("EXPUNGE", found[0]))
            self.expunged.append(name)


def work_at_once(clients, user, nodes, seconds):
    """Two clients at each node, all in the same mailbox; gives them when they have ended."""
    stop = threading.Event()
    workers = [Worker(clients, user, node, stop) for node in nodes for _client in range(2)]
    for worker in workers:
        worker.thread.start()
    time.sleep(seconds)
    stop.set()
    for worker in workers:
        worker.thread.join(60)
        assert not worker.thread.is_alive(), f"a client at {worker.node.name} hangs"
    failures = [worker.failure for worker in workers if worker.failure]
    assert not failures, failures
    return workers


def assert_same_mail(clients, user, nodes, workers):
    """What all together have added and not removed is there, from wherever one looks."""
    expected = sorted({name for worker in workers for name in worker.added}
                      - {name for worker in workers for name in worker.expunged})
    seen = {}
    for node in nodes:
        eventually(lambda node=node: boxes_of(clients, [user], host=node.address), 60, f"a login at {node.name}")
        seen[node.name] = boxes_of(clients, [user], host=node.address)[user]["messages"]
        found = sorted(entry[4].strip("<>") for entry in seen[node.name])
        assert found == expected, (
            f"on {node.name} {len(set(expected) - set(found))} are missing, {len(found) - len(expected)} too many")
    one, *others = seen.values()
    assert all(one == other for other in others), "the nodes differ in UIDs or flags"


def empty(clients, user, host):
    with clients.imap(user, host=host) as connection:
        with suppress(imaplib.IMAP4.error):
            must(connection.store("1:*", "+FLAGS", r"(\Deleted)"))
        must(connection.expunge())
