"""Mail clients as the tests use them: Python's own, against the addresses that the lab tells."""

from __future__ import annotations

import imaplib
import poplib
import smtplib
import socket
import ssl
import time
import uuid
from contextlib import contextmanager
from email.message import EmailMessage
from email.policy import SMTP
from functools import cache

SASL = 12325
TIMEOUT = 35  # seconds; a director without a usable backend holds a login for 30


class Clients:
    """Connects to the VIP (in a variant without one, to the first node that takes logins), or to I(host)."""

    def __init__(self, lab):
        self.vip = lab["entry"]
        self.ports = lab["ports"]
        self.passwords = {user["name"]: user["password"] for user in lab["users"]}
        self.tls = ssl.create_default_context(cafile=lab["ca_file"])

    @contextmanager
    def imap(self, user, host=None, password=None, folder="INBOX", source=None, timeout=TIMEOUT):
        connection = self.connect_imap(user, host, password, source, timeout)
        try:
            if folder:
                must(connection.select(folder))
            yield connection
        finally:
            try:
                connection.logout()
            except (OSError, imaplib.IMAP4.error):
                pass  # the test killed what it talked to

    def connect_imap(self, user, host=None, password=None, source=None, timeout=TIMEOUT):
        context = self.tls if host is None else unverified()
        connection = IMAPS(host or self.vip, self.ports["imaps"], context, source, timeout)
        connection.login(user, password or self.passwords[user])
        return connection

    def imap_starttls(self):
        connection = imaplib.IMAP4(self.vip, self.ports["imap"], timeout=TIMEOUT)
        connection.starttls(self.tls)
        return connection

    def pop3s(self):
        return poplib.POP3_SSL(self.vip, self.ports["pop3s"], context=self.tls, timeout=TIMEOUT)

    def pop3_starttls(self):
        connection = poplib.POP3(self.vip, self.ports["pop3"], timeout=TIMEOUT)
        connection.stls(self.tls)
        return connection

    def sieve(self, user, password=None, host=None):
        return ManageSieve(host or self.vip, self.ports["sieve"], self.tls, user, password or self.passwords[user])

    def deliver(
        self, *users, subject="test", body="A message of the tests.", host=None, attempts=1, message_id=None, timeout=TIMEOUT
    ):
        """Sends one message by LMTP to all of I(users); gives its Message-ID."""
        message = EmailMessage()
        message["From"] = "sender@example.net"
        message["To"] = ", ".join(users)
        message["Subject"] = subject
        message["Message-ID"] = f"<{message_id or f'{uuid.uuid4()}@example.net'}>"
        message.set_content(body + "\n")
        for attempt in range(attempts):
            try:
                with smtplib.LMTP(host or self.vip, self.ports["lmtp"], timeout=timeout) as lmtp:
                    transfer(lmtp, message, users)
                return message["Message-ID"]
            except (OSError, smtplib.SMTPException):
                if attempt == attempts - 1:
                    raise
                time.sleep(0.5)

    def has(self, user, message_id, folder="INBOX", host=None):
        """Whether the message is found by IMAP."""
        with self.imap(user, host=host, folder=folder) as connection:
            return bool(search(connection, message_id))


def transfer(lmtp, message, users):
    """One LMTP transaction. smtplib reads one answer to the data; LMTP gives one a recipient."""
    lmtp.ehlo_or_helo_if_needed()
    lmtp.mail(message["From"])
    refused = {user: answer for user in users if (answer := lmtp.rcpt(user))[0] != 250}
    if refused:
        raise smtplib.SMTPRecipientsRefused(refused)
    code, text = lmtp.docmd("DATA")
    if code != 354:
        raise smtplib.SMTPDataError(code, text)
    lmtp.send(message.as_bytes(policy=SMTP) + b".\r\n")
    for answer in [lmtp.getreply() for _user in users]:
        if answer[0] != 250:
            raise smtplib.SMTPDataError(*answer)


class IMAPS(imaplib.IMAP4_SSL):
    """imaplib with a source address."""

    def __init__(self, host, port, context, source=None, timeout=TIMEOUT):
        self._source = (source, 0) if source else None
        super().__init__(host, port, ssl_context=context, timeout=timeout)

    def _create_socket(self, timeout):
        plain = socket.create_connection((self.host, self.port), timeout, source_address=self._source)
        # imaplib writes a command in pieces, each of which would wait for the other side's delayed answer
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self.ssl_context.wrap_socket(plain, server_hostname=self.host)


class ManageSieve:
    """Enough of RFC 5804 for the tests: Python's library has no client for it."""

    def __init__(self, host, port, context, user, password):
        self._socket = socket.create_connection((host, port), TIMEOUT)
        self._file = self._socket.makefile("rwb")
        self._answer()
        self.command("STARTTLS")
        self._socket = context.wrap_socket(self._socket, server_hostname=host)
        self._file = self._socket.makefile("rwb")
        self._answer()
        token = base64_of(f"\0{user}\0{password}")
        self.command(f'AUTHENTICATE "PLAIN" "{token}"')

    def put(self, name, script):
        text = script.encode()
        self.command(f'PUTSCRIPT "{name}" {{{len(text)}+}}\r\n{script}')

    def activate(self, name):
        self.command(f'SETACTIVE "{name}"')

    def command(self, text):
        self._file.write(text.encode() + b"\r\n")
        self._file.flush()
        return self._answer()

    def close(self):
        self._socket.close()

    def _answer(self):
        lines = []
        while True:
            line = self._file.readline().decode()
            lines.append(line)
            if line.startswith("OK"):
                return lines
            if not line or line.startswith(("NO", "BYE")):
                raise PermissionError("".join(lines) or "connection closed")


def base64_of(text):
    from base64 import b64encode

    return b64encode(text.encode()).decode()


def sasl_answer(address, service, user, password):
    """What Dovecot says of a password to a mail server, in the protocol of the two."""
    with socket.create_connection((address, SASL), TIMEOUT) as connection, connection.makefile("rw", newline="\n") as stream:
        while not (line := stream.readline()).startswith("DONE"):
            assert line, f"{address} closed the connection"
        response = base64_of(f"\0{user}\0{password}")
        stream.write(f"VERSION\t1\t1\nCPID\t1\nAUTH\t1\tPLAIN\tservice={service}\tsecured\tresp={response}\n")
        stream.flush()
        return stream.readline().strip()


@cache
def unverified():
    """For a node's own address, which is not what clients are told."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def must(answer):
    status, data = answer
    assert status == "OK", f"the server answered {status} {data}"
    return data


def search(connection, message_id):
    """Sequence numbers of the message with this Message-ID."""
    return must(connection.search(None, "HEADER", "Message-ID", message_id))[0].split()


def eventually(condition, seconds=15, what="it", interval=None):
    """Waits until I(condition) gives something true, and gives that; fails after I(seconds).

    Without an I(interval) it looks less often the longer it takes: each look has the nodes compute.
    """
    began = time.monotonic()
    deadline = began + seconds
    last = None
    while time.monotonic() < deadline:
        try:
            value = condition()
            if value:
                return value
            last = value
        except (OSError, imaplib.IMAP4.error, smtplib.SMTPException, poplib.error_proto, AssertionError) as error:
            last = error
        time.sleep(interval or min(1, 0.2 + 0.05 * (time.monotonic() - began)))
    raise AssertionError(f"{what} did not happen within {seconds} s; last seen: {last!r}")
