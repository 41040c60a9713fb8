"""Clients and mail servers that never pause while things fail, and a journal of what was acknowledged to them.

Whoever runs this reads afterwards what both nodes of each pair have: each acknowledged thing, exactly once.
"""

from __future__ import annotations

import imaplib
import smtplib
import threading
import time
import uuid
from collections import defaultdict

from clients import must
from pairs import Workers, counted

PAUSE = 0.3  # seconds between two actions of a worker
# Seconds until a client does something with a message: one that is expunged while it is on its way to the partner may come back,
# since dsync then takes the partner's copy for a new message ("What comes back" in docs/replication.md).
SETTLED = 10
AGAIN = 0.3  # seconds until it tries again what was refused
PATIENCE = {"delivery": 60, "IMAP": 30}  # seconds; a mail server waits longer than a person


class Journal:
    """What a user was told that it is done, and what was begun and may be done: an answer may be lost.

    appended and delivered messages, flagged and expunged ones by Message-ID; created and deleted folders by name.
    """

    def __init__(self):
        self.begun, self.done = defaultdict(set), defaultdict(list)
        self.appended_at = {}
        self.repeated = set()

    def certain(self):
        """Messages that the servers took, which nobody tried to expunge."""
        return [name for kind in ("delivered", "appended") for name in self.done[kind] if name not in self.begun["expunged"]]

    def contradictions(self, box):
        """What is wrong with the mailbox, as sentences; box as pairs.mailboxes_of has it."""
        found = counted(box)
        flagged = {message[4].strip("<>") for message in box["messages"] if r"\Flagged" in message[3]}
        certain = self.certain()
        yield from (f"{name} is lost" for name in certain if not found[name])
        yield from (f"{name} is there {found[name]} times" for name in certain if found[name] > 1 and name not in self.repeated)
        yield from (f"{name} was expunged and is there" for name in self.done["expunged"] if found[name])
        yield from (f"{name} has lost its flag" for name in self.done["flagged"] if name not in flagged)
        folders = set(box["folders"])
        yield from (
            f"the folder {name} is lost"
            for name in self.done["created"]
            if name not in folders and name not in self.begun["deleted"]
        )
        yield from (f"the folder {name} was deleted and is there" for name in self.done["deleted"] if name in folders)


class Waits:
    """How long each action took from its first attempt, with when it was over."""

    def __init__(self):
        self._all = []

    def note(self, kind, partition, began):
        self._all.append((time.monotonic(), kind, partition, time.monotonic() - began))

    def longest(self, kind, since, partition=None):
        """Seconds, of the actions that ended since then, in a partition or in all."""
        return max(
            (
                took
                for ended, what, where, took in list(self._all)
                if what == kind and ended >= since and partition in (None, where)
            ),
            default=0,
        )


class Load(Workers):
    """For each user a mail server that delivers, and a client with a session for some actions at a time.

    users: partition -> names. While it is entered, it works.
    """

    def __init__(self, clients, users):
        self.clients = clients
        self.journals = {user: Journal() for names in users.values() for user in names}
        self.waits = Waits()
        self._broken = []
        super().__init__(
            [
                threading.Thread(target=self._guarded, args=(work, user, partition), daemon=True)
                for partition, names in users.items()
                for user in names
                for work in (self._deliver, self._read)
            ],
            patience=2 * PATIENCE["delivery"],
        )

    def __exit__(self, *failure):
        super().__exit__(*failure)
        assert not self._broken, f"the load itself has failed: {self._broken[0]!r}"

    def _guarded(self, work, user, partition):
        try:
            work(user, partition, self.journals[user])
        except Exception as error:  # else the proof would go on with fewer clients
            self._broken.append(error)
            raise

    def _deliver(self, user, partition, journal):
        while not self._end.is_set():
            name, began = f"{uuid.uuid4()}@example.net", time.monotonic()
            while not self._attempt(lambda name=name: self.clients.deliver(user, message_id=name, timeout=PATIENCE["delivery"])):
                journal.repeated.add(name)
            journal.done["delivered"].append(name)
            self.waits.note("delivery", partition, began)
            time.sleep(PAUSE)

    def _read(self, user, partition, journal):
        client = Client(self.clients, user, journal)
        number = 0
        while not self._end.is_set():
            number += 1
            for action in client.actions(number):
                began = time.monotonic()
                while not self._attempt(action):
                    client.drop()
                self.waits.note("IMAP", partition, began)
                time.sleep(PAUSE)
        client.drop()

    @staticmethod
    def _attempt(action):
        try:
            action()
        except (OSError, imaplib.IMAP4.error, smtplib.SMTPException, AssertionError):
            time.sleep(AGAIN)
            return False
        return True


class Client:
    """What one mail program does, each action until it was acknowledged or has no sense any more."""

    SESSION = 5  # rounds until it logs in again

    def __init__(self, clients, user, journal):
        self.clients, self.user, self.journal = clients, user, journal
        self.connection = None

    def drop(self):
        if self.connection:
            connection, self.connection = self.connection, None
            connection.shutdown()

    def session(self):
        if not self.connection:
            self.connection = self.clients.connect_imap(self.user, timeout=PATIENCE["IMAP"])
            must(self.connection.select("INBOX"))
        return self.connection

    def actions(self, number):
        if number % self.SESSION == 0:
            self.drop()
        yield self.appending(f"{uuid.uuid4()}@example.net")
        if number % 3 == 0:
            yield from self.with_old_message("expunged", self.expunge)
        else:
            yield from self.with_old_message("flagged", self.flag)
        if number % 10 == 0:
            yield self.creating(f"Folder {number}")
        if number % 20 == 0:
            yield self.deleting(f"Folder {number - 10}")

    def appending(self, name):
        def append():
            if name in self.journal.begun["appended"]:
                self.journal.repeated.add(name)
            self.journal.begun["appended"].add(name)
            must(self.session().append("INBOX", None, None, f"Message-ID: <{name}>\r\nSubject: x\r\n\r\nx\r\n".encode()))
            self.journal.done["appended"].append(name)
            self.journal.appended_at[name] = time.monotonic()

        return append

    def with_old_message(self, kind, act):
        """The action for a message that was acknowledged some time ago, once, and was not repeated."""
        journal = self.journal
        settled = time.monotonic() - SETTLED
        names = [
            name
            for name in journal.done["appended"][-60:]
            if journal.appended_at[name] < settled
            and name not in journal.begun["flagged"] | journal.begun["expunged"] | journal.repeated
        ]
        if not names:
            return

        def once():
            connection = self.session()
            must(connection.noop())
            found = must(connection.uid("SEARCH", "HEADER", "Message-ID", names[0]))[0].split()
            if found:  # else it is on the partner still
                journal.begun[kind].add(names[0])
                act(connection, found[0].decode())
                journal.done[kind].append(names[0])

        yield once

    @staticmethod
    def flag(connection, uid):
        must(connection.uid("STORE", uid, "+FLAGS", r"(\Flagged)"))

    @staticmethod
    def expunge(connection, uid):
        must(connection.uid("STORE", uid, "+FLAGS.SILENT", r"(\Deleted)"))
        must(connection.uid("EXPUNGE", uid))

    def creating(self, name):
        def create():
            status, answer = self.session().create(f'"{name}"')
            # of an attempt before, whose answer was lost
            assert status == "OK" or b"ALREADYEXISTS" in answer[0], answer
            self.journal.done["created"].append(name)

        return create

    def deleting(self, name):
        def delete():
            self.journal.begun["deleted"].add(name)
            status, answer = self.session().delete(f'"{name}"')
            if status == "OK":
                self.journal.done["deleted"].append(name)
            else:
                assert b"NONEXISTENT" in answer[0], answer

        return delete
