"""What two nodes of a pair have, side by side, and a load under which things go wrong."""

from __future__ import annotations

import imaplib
import json
import smtplib
import threading
import time
import uuid
from collections import Counter
from contextlib import contextmanager

from clients import eventually, must

# All users in one visit to the node, by four programs; the answers are a line each, then one for each user's scripts.
READ = r"""
cd $(mktemp -d) && printf '%%s\n' %s > users || exit
for command in "mailbox status -F users 'guid uidvalidity uidnext' '*'" "mailbox list -s -F users" \
        "fetch -F users 'mailbox uid guid flags hdr.message-id' ALL"; do
    rows=$(eval doveadm -f json $command) || exit
    echo "$rows"
done
homes=$(doveadm user -f home $(cat users)) || exit
for home in $homes; do
    echo "scripts:" $(cd $home && readlink .dovecot.sieve; cd sieve 2>/dev/null && sha1sum *.sieve)
done
rm -r "$PWD"
"""


def mailboxes_of(node, users):
    """All that is replicated, by user: folders with their GUID, messages with UID, GUID and flags, scripts."""
    if not users:
        return {}
    *answers, scripts = node.run(READ % " ".join(users)).split("\n", 3)
    status, listing, fetched = (by_user(answer) for answer in answers)
    return {
        user: mailbox(status.get(user, []), listing.get(user, []), fetched.get(user, []), line)
        for user, line in zip(users, scripts.splitlines(), strict=True)
    }


def by_user(answer):
    rows = {}
    for row in json.loads(answer or "[]"):
        rows.setdefault(row["username"], []).append(row)
    return rows


def mailbox(status, listing, fetched, scripts):
    return {
        "folders": {row["mailbox"]: (row["guid"], row["uidvalidity"], row["uidnext"]) for row in status},
        "messages": sorted(
            (
                row["mailbox"],
                int(row["uid"]),
                row["guid"],
                " ".join(sorted(set(row["flags"].split()) - {r"\Recent"})),
                row["hdr.message-id"],
            )
            for row in fetched
        ),
        "scripts": scripts,
        "subscribed": sorted(row["mailbox"] for row in listing),
    }


@contextmanager
def cut_off(pair, packets=""):
    """The link between the nodes is cut, or I(packets) of it, in the words of nft. Gives what repairs it before the end."""
    for node, partner in (pair, pair[::-1]):
        node.run(
            "nft 'add table inet cut; add chain inet cut in { type filter hook input priority -20; }; "
            f"add rule inet cut in ip saddr {partner.address} {packets} drop'"
        )
    cut = list(pair)

    def fix():
        while cut:
            cut.pop().run("nft delete table inet cut")

    try:
        yield fix
    finally:
        fix()


def difference(one, other):
    """The first things in which two mailboxes differ, for a message that a person can read."""
    words = []
    for part in one:
        if one[part] != other[part]:
            if isinstance(one[part], str):
                words.append(f"{part}: {one[part]!r} / {other[part]!r}")
                continue
            left, right = (
                {str(item) for item in (side[part].items() if isinstance(side[part], dict) else side[part])}
                for side in (one, other)
            )
            words.append(f"{part}: only here {sorted(left - right)[:4]}, only there {sorted(right - left)[:4]}")
    return "; ".join(words)


def await_equal(pair, users, seconds=60):
    """Waits until both nodes have the same of every user, and gives what that is, by user."""
    deadline = time.monotonic() + seconds
    boxes, missing = {}, list(users)
    while missing:
        late = time.monotonic() > deadline
        one, other = (mailboxes_of(node, missing) for node in pair)
        boxes.update({user: one[user] for user in missing if one[user] == other[user]})
        missing = [user for user in missing if user not in boxes]
        assert not (missing and late), (
            f"after {seconds} s {pair[0].name} and {pair[1].name} differ for {len(missing)} users, "
            f"{missing[0]} in {difference(one[missing[0]], other[missing[0]])}"
        )
        time.sleep(1 if missing else 0)
    return boxes


def await_quiet(pair, seconds=60):
    """Until nobody's replication has failed and nobody waits, on both nodes."""
    for node in pair:

        def quiet(node=node):
            rows = node.doveadm("replicator", "status", "*")
            restless = {row["username"]: row for row in rows if row["failed"] == "y" or row["priority"] != "none"}
            assert not restless, f"{len(restless)} users have failed or wait, as {list(restless.values())[:3]}"
            return True

        eventually(quiet, seconds, f"a quiet replicator on {node.name}", interval=1)


def counted(box):
    """How often each Message-ID is in the mailbox."""
    return Counter(message[4].strip("<>") for message in box["messages"])


class Workers:
    """Threads that work while it is entered, until I(_end) is set; each has I(patience) seconds to end then."""

    def __init__(self, threads, patience):
        self._threads, self._patience, self._end = threads, patience, threading.Event()

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_failure):
        self._end.set()
        for thread in self._threads:
            thread.join(self._patience)
            assert not thread.is_alive(), "the load did not end: a server has taken a connection and says nothing"


class Load(Workers):
    """A mail server that delivers by LMTP and tries again like a queue, and an IMAP client that appends and reads.

    I(pause): seconds between two messages of each; at 0.2 the replication of a pair takes half of a core.
    I(timeout): seconds for which a client waits for an answer, before it tries again.
    Afterwards delivered and appended have what the servers took, by user; retried are those of them that were
    handed over more than once, since an answer may have been lost: only those may be there twice.
    """

    def __init__(self, clients, users, host=None, pause=0.5, timeout=3):
        self.clients, self.users, self.host, self.pause, self.timeout = clients, users, host, pause, timeout
        self.word = uuid.uuid4().hex
        self.delivered, self.appended = {user: [] for user in users}, {user: [] for user in users}
        self.retried, self.refused = set(), []
        self.outages = []
        super().__init__([threading.Thread(target=work, daemon=True) for work in (self._deliver, self._append)], patience=60)

    def all_of(self, user):
        return self.delivered[user] + self.appended[user]

    def _repeat(self, attempt):
        """One message after the other, for one user after the other, each until it was taken."""
        number, name, failed_since = 0, None, None
        while not self._end.is_set() or name:
            user = self.users[number % len(self.users)]
            name = name or f"{attempt.__name__.strip('_')}.{number}.{self.word}@example.net"
            try:
                attempt(user, name)
            except (OSError, imaplib.IMAP4.error, smtplib.SMTPException, AssertionError) as error:
                self.retried.add(name)
                self.refused.append(repr(error))
                failed_since = failed_since or time.monotonic()
                if self._end.is_set() and time.monotonic() - failed_since > 30:
                    return
            else:
                if failed_since:
                    self.outages.append(time.monotonic() - failed_since)
                number, name, failed_since = number + 1, None, None
            time.sleep(self.pause)

    def _deliver(self):
        def lmtp(user, name):
            self.clients.deliver(user, host=self.host, message_id=name, timeout=self.timeout)
            self.delivered[user].append(name)

        self._repeat(lmtp)

    def _append(self):
        def imap(user, name):
            with self.clients.imap(user, host=self.host, timeout=self.timeout) as connection:
                must(connection.append("INBOX", None, None, f"Message-ID: <{name}>\r\nSubject: load\r\n\r\nx\r\n".encode()))
                self.appended[user].append(name)
                must(connection.search(None, "ALL"))

        self._repeat(imap)


def assert_nothing_lost(load, boxes):
    for user in load.users:
        found = counted(boxes[user])
        lost = [name for name in load.all_of(user) if not found[name]]
        assert not lost, f"{len(lost)} of {len(load.all_of(user))} messages of {user} are lost, as {lost[:3]}"
        doubled = [name for name in load.all_of(user) if found[name] > 1 and name not in load.retried]
        assert not doubled, f"{len(doubled)} messages of {user} are doubled, as {doubled[:3]}"
