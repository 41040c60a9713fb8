"""Every kind of change reaches the partner, when it comes alone: after ten seconds in which nothing else has happened.

A change that the replicator is not told of hides behind the next one of the same user. So each row has a user of its
own, all of whom are made, left alone, changed, and compared together.
"""

from __future__ import annotations

import poplib
import re
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest
from clients import ManageSieve, must, unverified
from pairs import await_equal, difference, mailboxes_of

QUIET = 10  # seconds
PASSWORD = "a-password-of-the-tests"
FORMATS = ("mdbox", "sdbox")
SCRIPT = 'require "fileinto"; keep;\n'


@dataclass(frozen=True)
class Change:
    """client: a function of an Imap, Pop3 or Sieve connection; or a command on the node."""

    name: str
    by: object
    before: object = None

    def __str__(self):
        return self.name


# Each protocol has its own way to end a session, so each is written out.
def imap(change):
    def by(door):
        with door.imap() as connection:
            change(connection)

    return by


def pop3(change):
    def by(door):
        connection = door.pop3()
        change(connection)
        connection.quit()

    return by


def sieve(change):
    def by(door):
        connection = door.sieve()
        change(connection)
        connection.close()

    return by


def doveadm(words):
    return lambda door: door.node.run("doveadm " + words, door.user)


def flag(connection):
    must(connection.store("1", "+FLAGS", r"\Deleted"))


deleted = imap(flag)
folder = imap(lambda connection: must(connection.create("Old")))
subscribed = imap(lambda connection: must(connection.create("Old")) and must(connection.subscribe("Old")))
script = sieve(lambda connection: connection.put("rules", SCRIPT))


def active(door):
    script(door)
    sieve(lambda connection: connection.activate("rules"))(door)


CHANGES = [
    Change("IMAP STORE", imap(lambda c: must(c.store("2", "+FLAGS", r"\Flagged")))),
    Change("IMAP APPEND", imap(lambda c: must(c.append("INBOX", None, None, b"Subject: new\r\n\r\nx\r\n")))),
    Change("IMAP EXPUNGE", imap(lambda c: must(c.expunge())), deleted),
    Change("IMAP UID EXPUNGE", imap(lambda c: must(c.uid("EXPUNGE", "1:*"))), deleted),
    Change("IMAP CLOSE", imap(lambda c: must(c.close())), deleted),
    Change("IMAP COPY", imap(lambda c: must(c.copy("1", "Trash")))),
    Change("IMAP MOVE", imap(lambda c: must(c._simple_command("MOVE", "1", "Trash")))),
    Change("IMAP CREATE", imap(lambda c: must(c.create("New")))),
    Change("IMAP DELETE", imap(lambda c: must(c.delete("Old"))), folder),
    Change("IMAP RENAME", imap(lambda c: must(c.rename("Old", "New"))), folder),
    Change("IMAP SUBSCRIBE", imap(lambda c: must(c.subscribe("Old"))), folder),
    Change("IMAP UNSUBSCRIBE", imap(lambda c: must(c.unsubscribe("Old"))), subscribed),
    Change("POP3 DELE", pop3(lambda c: c.dele(1))),
    Change("PUTSCRIPT", script),
    Change("SETACTIVE", sieve(lambda c: c.activate("rules")), script),
    Change("SETACTIVE none", sieve(lambda c: c.activate("")), active),
    Change("RENAMESCRIPT", sieve(lambda c: c.command('RENAMESCRIPT "rules" "others"')), script),
    Change("DELETESCRIPT", sieve(lambda c: c.command('DELETESCRIPT "rules"')), script),
    Change("doveadm expunge", doveadm("expunge -u %s mailbox INBOX 1")),
    Change("doveadm move", doveadm("move -u %s Trash mailbox INBOX 1")),
    Change("doveadm flags", doveadm("flags add -u %s '\\Flagged' mailbox INBOX 1")),
    Change("doveadm mailbox delete", doveadm("mailbox delete -u %s Old"), folder),
    Change("doveadm sieve delete", doveadm("sieve delete -u %s rules"), script),
]


@dataclass(frozen=True)
class Door:
    """One user's way into one node."""

    clients: object
    node: object
    user: str

    def imap(self):
        return self.clients.imap(self.user, host=self.node.address, password=PASSWORD)

    def pop3(self):
        connection = poplib.POP3_SSL(self.node.address, self.clients.ports["pop3s"], context=unverified(), timeout=30)
        connection.user(self.user)
        connection.pass_(PASSWORD)
        return connection

    def sieve(self):
        return ManageSieve(self.node.address, self.clients.ports["sieve"], unverified(), self.user, PASSWORD)


@dataclass(frozen=True)
class Seen:
    """One user's mailbox before the change, and on both nodes after it."""

    before: dict
    here: dict
    there: dict


def user_of(change, kind):
    return re.sub("[^a-z0-9]+", "-", change.name.lower()) + f"-{kind}@example.org"


ROWS = [(change, kind) for change in CHANGES for kind in FORMATS]


@pytest.fixture(scope="module")
def changed(nodes, clients):
    """All changes made, ten seconds after everything else; what each node then had of each user, by row."""
    pair = nodes.pair_of("a")
    lines = "".join(f"{user_of(*row)}:{{PLAIN}}{PASSWORD}::::::userdb_mail={row[1]}:~/{row[1]}\n" for row in ROWS)
    for node in pair:
        node.run("cp -p /etc/dovecot/users.passwd /root/users.passwd && printf %s >> /etc/dovecot/users.passwd", lines)
    time.sleep(2)  # the auth processes look at the file once a second, and the replicator drops whom its partner does not know
    doors = {row: Door(clients, pair[0], user_of(*row)) for row in ROWS}
    try:
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(prepare, doors.values(), [row[0] for row in ROWS]))
            users = [door.user for door in doors.values()]
            before = await_equal(pair, users)
            time.sleep(QUIET)
            list(pool.map(lambda row: row[0].by(doors[row]), ROWS))
        yield {row: Seen(before[user_of(*row)], *both) for row, both in zip(ROWS, seen_later(pair, users), strict=True)}
    finally:
        gone = "".join(f"doveadm replicator remove {door.user}\n" for door in doors.values())
        homes = " ".join(f"/var/vmail/example.org/{door.user.partition('@')[0]}" for door in doors.values())
        for node in pair:
            node.run("bash -c %s", f"{gone}rm -rf {homes}; mv /root/users.passwd /etc/dovecot/users.passwd")


def prepare(door, change):
    with door.imap() as connection:
        for number in range(3):
            must(connection.append("INBOX", None, None, f"Subject: {number}\r\n\r\nx\r\n".encode()))
    if change.before:
        change.before(door)


def seen_later(pair, users, seconds=6):
    """What each node has of each user, as soon as that is the same of all of them, or after so long."""
    deadline = time.monotonic() + seconds
    while True:
        late = time.monotonic() > deadline
        one, other = (mailboxes_of(node, users) for node in pair)
        if one == other or late:
            return [(one[user], other[user]) for user in users]
        time.sleep(0.5)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row[0]}-{row[1]}")
def test_a_change_that_comes_alone_reaches_the_partner(row, changed):
    seen = changed[row]
    assert seen.here != seen.before, f"{row[0]} has changed nothing: the test proves nothing"
    assert seen.here == seen.there, f"{row[0]} is not on the partner: {difference(seen.here, seen.there)}"
