# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tries a port as a client would: TLS where clients use it, the greeting, and a polite farewell.

Certificates are not verified, since they name what clients connect to and not the node's own address.
"""

from __future__ import annotations

import socket
import ssl
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

# What a connection without a client behind it sends first: version 2, LOCAL, no addresses.
PROXY_LOCAL = b"\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00"
LONGEST_LINE = 8192


class Protocol(NamedTuple):
    """What the client says for TLS and as its farewell, and how the lines of the server begin, at first and after these."""

    name: str
    greeting: str
    starttls: str
    started: str
    farewell: str
    left: str


IMAP = Protocol("imap", "* OK", "a STARTTLS", "a OK", "b LOGOUT", "* BYE")
POP3 = Protocol("pop3", "+OK", "STLS", "+OK", "QUIT", "+OK")
LMTP = Protocol("lmtp", "220", "STARTTLS", "220", "QUIT", "221")
# Its greeting is a list of capabilities, in quotes, that ends with OK; it comes again once TLS is there.
SIEVE = Protocol("sieve", "OK", "STARTTLS", "OK", "LOGOUT", "OK")

# Service -> its protocol, and how its clients come to TLS. Mail servers deliver without.
SERVICES: dict[str, tuple[Protocol, str]] = {
    "imap": (IMAP, "STARTTLS"),
    "imaps": (IMAP, "TLS"),
    "pop3": (POP3, "STARTTLS"),
    "pop3s": (POP3, "TLS"),
    "lmtp": (LMTP, ""),
    "sieve": (SIEVE, "STARTTLS"),
}


class Unexpected(Exception):
    """The server said something else, in words for people."""


class Trial(NamedTuple):
    """A port of a unit, and the service that is expected there."""

    unit: str
    address: str
    port: int
    service: str
    proxy_protocol: bool

    def __str__(self) -> str:
        protocol, tls = SERVICES[self.service]
        details = [protocol.name, tls, "PROXY protocol" if self.proxy_protocol else ""]
        return "port %d (%s)" % (self.port, ", ".join(detail for detail in details if detail))

    def failure(self, seconds: float) -> Failure | None:
        """None if a client would be served; else the Failure."""
        try:
            with socket.create_connection((self.address, self.port), seconds) as connection:
                if self.proxy_protocol:
                    connection.sendall(PROXY_LOCAL)
                converse(connection, *SERVICES[self.service])
        except (socket.timeout, TimeoutError):
            return Failure(self, "no answer within %d s" % seconds, True)
        except (OSError, Unexpected) as error:
            return Failure(self, str(error), False)
        return None


class Failure(NamedTuple):
    """What was seen instead of a service; slow: nothing was, which may change."""

    trial: Trial
    words: str
    slow: bool

    def __str__(self) -> str:
        return "%s: %s" % (self.trial, self.words)


def failures(trials: list[Trial], seconds: float) -> list[Failure]:
    """The Failures of the trials, which are made at the same time."""
    with ThreadPoolExecutor(len(trials)) as pool:
        found = list(pool.map(lambda trial: trial.failure(seconds), trials))
    return [failure for failure in found if failure]


def converse(connection: socket.socket, protocol: Protocol, tls: str) -> None:
    if tls == "TLS":
        with encrypted(connection) as secure:
            return converse(secure, protocol, "")
    hear(connection, protocol.greeting, "its greeting")
    if tls == "STARTTLS":
        tell(connection, protocol.starttls)
        hear(connection, protocol.started, "its answer to %s" % protocol.starttls)
        with encrypted(connection) as secure:
            return leave(secure, protocol)
    return leave(connection, protocol)


def leave(connection: socket.socket, protocol: Protocol) -> None:
    tell(connection, protocol.farewell)
    hear(connection, protocol.left, "its answer to %s" % protocol.farewell)


def tell(connection: socket.socket, command: str) -> None:
    connection.sendall(command.encode("ascii") + b"\r\n")


def hear(connection: socket.socket, start: str, what: str) -> None:
    """Reads until the line with this start; only capabilities of ManageSieve, which are quoted, may come before."""
    with connection.makefile("rb") as stream:
        line = '"'
        while line.startswith('"'):
            line = stream.readline(LONGEST_LINE).decode("utf-8", "replace")
    if not line:
        raise Unexpected("the connection was closed in place of %s" % what)
    if not line.startswith(start):
        raise Unexpected("%s is '%s'" % (what, line.strip()[:200]))


def encrypted(connection: socket.socket) -> ssl.SSLSocket:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    # A weak key is for clients to refuse, not for this.
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    try:
        return context.wrap_socket(connection)
    except (socket.timeout, TimeoutError):
        raise
    except OSError as error:
        raise Unexpected("the TLS handshake failed: %s" % error)
