"""Checks that mail gets through the cluster, as a user would see it."""

from __future__ import annotations

import imaplib
import poplib
import shlex
import smtplib
import ssl
import time
import uuid
from email.message import EmailMessage
from email.utils import formatdate

from labtool import tls, users
from labtool.environment import ssh
from labtool.inventory import Cluster, Node, User
from labtool.nodes import in_parallel
from labtool.system import LabError, run, say

LMTP_PORT = 24
PATIENCE = 15.0
TIMEOUT = 20


def prove(cluster: Cluster) -> None:
    """For one user of each partition: deliver by LMTP, read by IMAPS or POP3S, and find the message on every backend there."""
    service, fetch = ("IMAPS", fetch_by_imap) if "imap" in cluster.protocols else ("POP3S", fetch_by_pop3)
    chosen = users.one_of_each_partition(cluster)
    if not chosen:
        raise LabError(f"{cluster.inventory}: dovecot_users is empty. The cluster cannot be checked without users.")
    for user in chosen:
        password = users.password_of(cluster, user)
        message_id = f"<{uuid.uuid4()}@lab.example.org>"
        began = time.monotonic()
        deliver(cluster, user, message_id)
        fetch(cluster, user, password, message_id)
        holders = replicas(cluster, user)
        await_copies(holders, user, message_id)
        fetch(cluster, user, password, message_id, expunge=True)
        places = f", on {' and '.join(node.name for node in holders)}" if holders else ""
        say(f"  {user.name}: delivered by LMTP, read by {service} at {cluster.entry}{places} ({time.monotonic() - began:.1f} s)")


def replicas(cluster: Cluster, user: User) -> list[Node]:
    """The backends that hold a user's mail."""
    backends = cluster.members("dovecot_backends")
    if cluster.members("dovecot_shared_storage"):
        # Behind directors, a mailbox must be opened only on the user's own backend.
        backends = [] if cluster.members("dovecot_directors") else backends
    # of an active/passive pair one node has the mail at a time, and the lab has just read it there
    backends = [node for node in backends if "dovecot_active_passive" not in node.groups]
    return [node for node in backends if user.partition is None or node.partition in (None, user.partition)]


def deliver(cluster: Cluster, user: User, message_id: str) -> None:
    message = EmailMessage()
    message["From"] = "lab@example.org"
    message["To"] = user.name
    message["Subject"] = "Proof of the lab"
    message["Date"] = formatdate()
    message["Message-ID"] = message_id
    message.set_content("This message proves that the cluster takes and gives mail.\n")
    try:
        # With a fixed name: smtplib would look up this machine's, which may be slow or fail.
        with smtplib.LMTP(cluster.entry, LMTP_PORT, local_hostname="lab.example.org") as client:
            client.send_message(message)
    except (OSError, smtplib.SMTPException) as error:
        raise _failure(cluster, "LMTP", f"port {LMTP_PORT} did not accept a message for {user.name}", error) from error


def fetch_by_imap(cluster: Cluster, user: User, password: str, message_id: str, *, expunge: bool = False) -> None:
    context = ssl.create_default_context(cafile=str(tls.ca_file(cluster)))
    try:
        with imaplib.IMAP4_SSL(cluster.entry, ssl_context=context, timeout=TIMEOUT) as client:
            client.login(user.name, password)
            client.select("INBOX")
            _, found = client.uid("SEARCH", "HEADER", "Message-ID", f'"{message_id}"')
            if not found or not found[0]:
                raise imaplib.IMAP4.error("the message is not in the INBOX")
            uid = found[0].split()[-1].decode()
            if expunge:
                client.uid("STORE", uid, "+FLAGS", r"(\Deleted)")
                client.expunge()
                return
            _, content = client.uid("FETCH", uid, "(RFC822.HEADER)")
            if message_id.encode() not in b"".join(part[1] for part in content if isinstance(part, tuple)):
                raise imaplib.IMAP4.error("the server returned another message")
    except (OSError, imaplib.IMAP4.error) as error:
        raise _failure(cluster, "IMAPS", f"{user.name} could not read the message at port 993", error) from error


def fetch_by_pop3(cluster: Cluster, user: User, password: str, message_id: str, *, expunge: bool = False) -> None:
    context = ssl.create_default_context(cafile=str(tls.ca_file(cluster)))
    try:
        client = poplib.POP3_SSL(cluster.entry, context=context, timeout=TIMEOUT)
        client.user(user.name)
        client.pass_(password)
        numbers = range(1, client.stat()[0] + 1)
        number = next((number for number in numbers if message_id.encode() in b"".join(client.top(number, 0)[1])), None)
        if number is None:
            raise poplib.error_proto("the message is not in the INBOX")
        if expunge:
            client.dele(number)
        client.quit()
    except (OSError, poplib.error_proto) as error:
        raise _failure(cluster, "POP3S", f"{user.name} could not read the message at port 995", error) from error


def await_copies(holders: list[Node], user: User, message_id: str) -> None:
    deadline = time.monotonic() + PATIENCE
    missing = holders
    while missing:
        found = in_parallel(lambda node: has(node, user, message_id), missing)
        missing = [node for node, there in zip(missing, found, strict=True) if not there]
        if missing and time.monotonic() > deadline:
            names = ", ".join(node.name for node in missing)
            raise LabError(
                f"Replication: {PATIENCE:.0f} s after its delivery, the message for {user.name} has not reached {names}.\n"
                f"Look at: {shlex.join(ssh(missing[0].address))} 'doveadm replicator status \"*\"; journalctl -u dovecot -n 50'"
            )
        if missing:
            time.sleep(0.25)


def has(node: Node, user: User, message_id: str) -> bool:
    query = ["doveadm", "search", "-u", user.name, "mailbox", "INBOX", "header", "message-id", message_id]
    result = run([*ssh(node.address), shlex.join(query)], check=False, timeout=TIMEOUT)
    return result.returncode == 0 and bool(result.stdout.strip())


def _failure(cluster: Cluster, hop: str, what: str, error: Exception) -> LabError:
    looks = "\n".join(
        f"  {shlex.join(ssh(node.address))} journalctl -n 30 -u dovecot -u haproxy -u keepalived" for node in cluster.nodes
    )
    return LabError(f"{hop}: {cluster.entry} {what}: {error}\nWhere to look, along the path of a message:\n{looks}")
