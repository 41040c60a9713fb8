"""Backends that share their storage: what a client sees in a mailbox, what the logs say, and two nodes at work at once."""

from __future__ import annotations

import imaplib
import re
import smtplib
import threading
import time
import uuid
from collections import Counter
from contextlib import contextmanager, suppress

from clients import eventually, must

MOUNT = "var-vmail.mount"
# What Dovecot says of a mailbox that is not as its files tell, in whatever format. To have waited for a lock is no such thing.
BROKEN = re.compile(
    r"(?i)(error|warning|panic|fatal):(?!.* (was locked for|took) \d+ seconds).*"
    r"(corrupt|index|transaction log|log file|uidlist|rebuil|fsck|dbox|broken|unexpectedly|cache file)"
)
# What follows when an index is rebuilt, after a line that tells why.
REBUILT = r": Rebuilding index$|/dovecot\.index reset, view is now inconsistent"
# An sdbox message was renamed into its place, and not told to the index: the node died just there, or the file server lost its
# power and with it that it had done so, and the client asked again. The next delivery finds the file and has it indexed; UIDs
# and flags stay as they are, and the sender, who had no answer, sends again.
UNFINISHED_SAVE = (
    rf"/u\.\d+ already exists, rebuilding index|{REBUILT}"
    r"|(rename|unlink)\([^)]*/\.temp\.[^)]*\) failed: No such file or directory$"
)
# A node reads zeros where another has appended to the log, and has the index rebuilt: "What stays wrong without directors" in
# docs/shared_storage.md.
STALE_LOG = (
    rf": dbox: Unexpectedly lost uid$|: Lost log for seq=.* > current sync_offset |: fscking index file |{REBUILT}"
    r"|: Invalid transaction log size \(\d+ vs \d+\): |: Failed to map view for .* - generating missing logs$"
)


def clock(node):
    """The node's own time, as journalctl takes it."""
    return node.run("date '+%Y-%m-%d %H:%M:%S'").strip()


@contextmanager
def no_mailbox_broken(backends, but=None):
    """What the logs of the backends say meanwhile is nothing of broken indexes, C(but) for what repairs itself."""
    since = {node.name: clock(node) for node in backends}
    yield
    for node in backends:
        log = node.run("journalctl -u dovecot -o cat --since %s", since[node.name])
        told = [line for line in log.splitlines() if BROKEN.search(line) and not (but and re.search(but, line))]
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
    return (
        "INBOX",
        int(re.search(r"UID (\d+)", told).group(1)),
        "",
        " ".join(sorted(set(flags) - {r"\Recent"})),
        header.partition(":")[2].strip(),
    )


def home_of(user, nodes):
    """The backend on which the directors have a user."""
    address = nodes["director1"].doveadm("director", "status", user, "shared")[0]["status"]
    return next(node for node in nodes.values() if node.address == address)


def unmount(*nodes):
    """Dovecot goes with its storage. Whoever still looks there on a busy machine has a moment to end."""
    for node in nodes:
        node.run("systemctl stop dovecot")
        eventually(lambda node=node: node.host.run(f"systemctl stop {MOUNT}").rc == 0, 60, "a mount that nobody uses", interval=2)


class Worker:
    """One client at one node, who appends, changes flags and expunges in the mailbox that others use at the same time."""

    def __init__(self, clients, user, node, stop):
        self.clients, self.user, self.node, self.stop = clients, user, node, stop
        self.tried, self.added, self.changes, self.failure = [], [], 0, None
        self.expunging, self.expunged = [], []
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _run(self):
        try:
            while not self.stop.is_set():
                with self.clients.imap(self.user, host=self.node.address) as connection, self._trying_again():
                    for _turn in range(10):
                        if not self.stop.is_set():
                            self._work(connection)
        except (OSError, imaplib.IMAP4.error, AssertionError) as error:
            self.failure = f"{self.node.name}: {error!r}"

    @contextmanager
    def _trying_again(self):
        """As clients do after an internal error, or when an index that was rebuilt ends their session: the log tells why."""
        try:
            yield
        except (AssertionError, imaplib.IMAP4.abort, smtplib.SMTPDataError) as error:
            if not re.search(r"\[SERVERBUG\]|session state is inconsistent|Internal error", str(error)):
                raise

    def _work(self, connection):
        name = self._new_name()
        must(connection.append("INBOX", None, None, f"Message-ID: <{name}>\r\nSubject: both\r\n\r\nx\r\n".encode()))
        self.added.append(name)
        if len(self.added) % 5 == 0:
            name = self._new_name()
            self.clients.deliver(self.user, host=self.node.address, message_id=name)
            self.added.append(name)
        must(connection.noop())
        uids = must(connection.uid("SEARCH", None, "ALL"))[0].split()
        for uid in uids[len(self.added) % 7 :: 7]:
            connection.uid("STORE", uid, "+FLAGS" if len(self.added) % 2 else "-FLAGS", r"(\Flagged)")
            self.changes += 1
        if len(self.added) > 5 and len(self.added) % 3 == 0:
            self._expunge(connection, self.added[len(self.added) // 2])

    def _new_name(self):
        self.tried.append(f"{uuid.uuid4()}@{self.node.name}.example.net")
        return self.tried[-1]

    def _expunge(self, connection, name):
        """One of this client's own, so that both sides know who has removed what."""
        found = must(connection.uid("SEARCH", None, "HEADER", "Message-ID", name))[0].split()
        if found and name not in self.expunging:
            self.expunging.append(name)
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
    """What all together have added and not removed is there once, from wherever one looks; what was refused may be."""
    added, tried, expunging, expunged = (
        {name for worker in workers for name in getattr(worker, what)} for what in ("added", "tried", "expunging", "expunged")
    )
    seen = {}
    for node in nodes:
        boxes = eventually(lambda node=node: boxes_of(clients, [user], host=node.address), 60, f"a login at {node.name}")
        seen[node.name] = boxes[user]["messages"]
        found = Counter(entry[4].strip("<>") for entry in seen[node.name])
        lost, unknown = added - expunging - found.keys(), found.keys() - (tried - expunged)
        assert not lost, f"on {node.name} {len(lost)} are missing"
        assert not unknown, f"on {node.name} {len(unknown)} should not be there"
        assert found.total() == len(found), f"on {node.name} {found.total() - len(found)} are there twice"
    one, *others = seen.values()
    assert all(one == other for other in others), "the nodes differ in UIDs or flags"


def empty(clients, user, host):
    with clients.imap(user, host=host) as connection:
        with suppress(imaplib.IMAP4.error):
            must(connection.store("1:*", "+FLAGS", r"(\Deleted)"))
        must(connection.expunge())
