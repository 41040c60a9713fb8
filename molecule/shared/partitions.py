"""A partitioned cluster: whose mail is where, and what a client gets who asks for it in any place."""

from __future__ import annotations

import poplib
import smtplib
from contextlib import contextmanager

from clients import TIMEOUT, EmailMessage, unverified


def holders(nodes, user, message_id):
    """Names of the backends that have the message on their disks, whoever they believe the user's home to be."""
    wanted = message_id.strip("<>")
    local, domain = user.split("@")
    return sorted(
        node.name
        for node in nodes.of("dovecot_backends")
        if node.host.run("grep -rqF %s /var/vmail/%s/%s", wanted, domain, local).rc == 0
    )


def forget(nodes):
    """Empties what the nodes remember of the databases' answers."""
    for node in (*nodes.of("dovecot_proxies"), *nodes.of("dovecot_backends")):
        node.run("doveadm auth cache flush")


@contextmanager
def database_node(nodes, name, unit):
    """The node of a database, whose service may be stopped: it runs again at the end, and the nodes' memories are empty."""
    yield nodes[name]
    nodes[name].run("systemctl start %s", unit)
    forget(nodes)


def answers_of(clients, host, *users, message_id="answers@example.net", timeout=TIMEOUT):
    """What a server answers to each recipient, the data's answer included: code by user, in one transaction."""
    message = EmailMessage()
    message["From"], message["To"], message["Message-ID"] = "sender@example.net", ", ".join(users), f"<{message_id}>"
    message.set_content("One message for many.\n")
    codes = {}
    with smtplib.LMTP(host, clients.ports["lmtp"], timeout=timeout) as lmtp:
        lmtp.ehlo_or_helo_if_needed()
        lmtp.mail("sender@example.net")
        for user in users:
            codes[user] = lmtp.rcpt(user)[0]
        taken = [user for user in users if codes[user] == 250]
        if taken:
            assert lmtp.docmd("DATA")[0] == 354
            lmtp.send(message.as_bytes().replace(b"\n", b"\r\n") + b".\r\n")
            codes.update({user: lmtp.getreply()[0] for user in taken})
    return codes


def deliver_to_all(clients, host, users, message_id):
    """One message for many, in one transaction; each must take it."""
    codes = answers_of(clients, host, *users, message_id=message_id)
    assert set(codes.values()) == {250}, codes


def pop3_messages(clients, user, host):
    """How many messages a POP3 client sees."""
    connection = poplib.POP3_SSL(host, clients.ports["pop3s"], context=unverified(), timeout=TIMEOUT)
    try:
        connection.user(user)
        connection.pass_(clients.passwords[user])
        return connection.stat()[0]
    finally:
        connection.quit()


def refusal(clients, user, host=None, password=None):
    """The words with which a login is refused."""
    import imaplib

    try:
        with clients.imap(user, host=host, password=password, folder=None):
            raise AssertionError(f"{user} was let in")
    except imaplib.IMAP4.error as error:
        return str(error)
