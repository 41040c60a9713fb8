"""A backend's disk fills under load: it stops taking mail in time, its partner goes on, and nothing is lost or doubled."""

from __future__ import annotations

import imaplib
import smtplib
import time
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from email.message import EmailMessage
from email.policy import SMTP

import pytest
from clients import eventually, must, transfer
from disks import BallastOn, on_small_disk
from storage import clock

BODY = "x" * 70 + "\n"
SIZE = 500_000  # bytes
WORKERS = 6
PACE = 0.3  # seconds between two messages of a worker once the disk is low: what comes meanwhile must fit on it later
DAMAGE = ("No space left", "Corrupted", "rebuilding", "UIDVALIDITY changed", "ut of disk space")


@pytest.fixture
def small_disk(nodes, users, lab_is_whole):
    """A backend whose mail is on a disk of its own that is nearly full; it is as before afterwards."""
    backend = nodes.pair_of("a")[0]
    with on_small_disk(backend, lambda: eventually(lab_is_whole, 60, "a whole cluster", interval=1)):
        yield backend
        backend.run("rm -f /var/vmail/ballast")
        for user in users["a"][:2]:
            backend.run("doveadm expunge -u %s mailbox INBOX subject large; doveadm purge -u %s", user, user)
            nodes.pair_of("a")[1].run("sleep 2; doveadm purge -u %s", user)


class Load:
    """Deliveries and appends of large messages to the users; what was acknowledged is in I(acknowledged), by Message-ID."""

    def __init__(self, clients, users):
        self.clients, self.users = clients, users
        self.acknowledged, self.refused = [], 0
        self.pause, self.ends = 0, False

    def work(self, number):
        user = self.users[number % len(self.users)]
        while not self.ends:
            message = EmailMessage()
            message["From"], message["To"], message["Subject"] = "sender@example.net", user, "large"
            message["Message-ID"] = f"<{uuid.uuid4()}@example.net>"
            message.set_content(BODY * (SIZE // len(BODY)))
            try:
                (self.append if number % 2 else self.deliver)(user, message)
                self.acknowledged.append((user, message["Message-ID"]))
                time.sleep(self.pause)
            except (OSError, smtplib.SMTPException, imaplib.IMAP4.error, AssertionError):
                self.refused += 1
                time.sleep(0.5)

    def deliver(self, user, message):
        with smtplib.LMTP(self.clients.vip, self.clients.ports["lmtp"], timeout=35) as lmtp:
            transfer(lmtp, message, [user])

    def append(self, user, message):
        with self.clients.imap(user, folder=None) as connection:
            must(connection.append("INBOX", None, None, message.as_bytes(policy=SMTP)))


def tells_that_it_is_low(backend):
    return backend.run("cat /run/mailcluster-dovecot/space.passwd") != ""


def test_a_disk_that_fills_stops_its_backend_from_taking_mail(small_disk, nodes, clients, users):
    backend, partner = nodes.pair_of("a")
    load = Load(clients, users["a"][:2])
    began = clock(backend)
    with ThreadPoolExecutor(WORKERS) as pool:
        workers = [pool.submit(load.work, number) for number in range(WORKERS)]
        try:
            ballast = BallastOn(backend)
            eventually(lambda: tells_that_it_is_low(backend), 60, "a backend that says its disk is nearly full")
            load.pause = PACE
            eventually(lambda: nodes.state_of(backend) == "down", 15, "users who are sent to the partner")
            before = len(load.acknowledged)
            time.sleep(6)
            assert len(load.acknowledged) > before, "no mail was taken by the partner"
            assert tells_that_it_is_low(backend)
            with clients.imap(users["a"][3], host=backend.address) as connection:
                assert connection.append("INBOX", None, None, b"Subject: no\r\n\r\nx\r\n")[0] == "NO"
                must(connection.search(None, "ALL"))
        finally:
            load.ends = True
            for worker in workers:
                worker.result()
    ballast.remove()
    eventually(lambda: nodes.state_of(backend) == "up", 60, "a backend that takes mail again")

    for user in load.users:
        wanted = Counter(message_id for to, message_id in load.acknowledged if to == user)
        for node in (backend, partner):
            eventually(
                lambda node=node, user=user, wanted=wanted: not wanted - found_on(node, user),
                60,
                f"all {len(wanted)} acknowledged messages of {user} on {node.name}",
                2,
            )
            doubled = [message_id for message_id, number in found_on(node, user).items() if number > 1]
            assert not doubled, f"{len(doubled)} messages of {user} are doubled on {node.name}"
    for node in (backend, partner):
        log = node.run("journalctl -u dovecot --no-pager -o cat --since %s", began)
        damage = [line for line in log.splitlines() if any(words in line for words in DAMAGE)]
        assert not damage, f"{node.name}: {damage[:3]}"


def found_on(node, user):
    lines = node.run("doveadm -f tab fetch -u %s hdr.message-id mailbox INBOX", user).splitlines()[1:]
    return Counter(line.strip() for line in lines if line.strip())
