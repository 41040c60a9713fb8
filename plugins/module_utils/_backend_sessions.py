# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How many sessions a backend has, asked at the backend itself by doveadm's protocol.

Each director knows its own sessions only, and its users for a quarter of an hour after their last one. The command line
asks another node for mail only, so C(doveadm who) of a backend takes this client.
"""

from __future__ import annotations

import base64
import re
import socket
from collections.abc import Callable

from ansible_collections.mailcluster.dovecot.plugins.module_utils._doveadm import Doveadm

# A row is user, sessions, service, process ids, addresses; between rows are bytes of no interest here.
ROW = re.compile(rb"\t([0-9]+)\t(?:imap|pop3|sieve|managesieve)\t\(")
# Answers end with a line of their own: + for done, - and a reason for not.
END = re.compile(rb"(?:^|\n)([+-])[^\n]*\n\Z")


ENDS = 5  # seconds in which a kick has ended all sessions
POLL = 0.5  # seconds


def ended(doveadm: Doveadm, before: int | None, count: Callable[[], int | None]) -> int | None:
    """How many of the I(before) sessions have ended, when some seconds are given to all; None when they cannot be counted."""
    if before is None:
        return None
    deadline, left = doveadm.clock() + ENDS, count()
    while left and doveadm.clock() < deadline:
        doveadm.sleep(POLL)
        left = count()
    return None if left is None else max(0, before - left)


def sessions_at(doveadm: Doveadm, host: str, user: str | None = None, seconds: float = 5) -> int | None:
    """The number of sessions on I(host), or of one user's there; None when it cannot be asked, or does not answer."""
    port, password = doveadm.settings("doveadm_port"), doveadm.settings("doveadm_password", secret=True)
    if not port.isdigit() or port == "0" or not password:
        return None
    try:
        with socket.create_connection((host, int(port)), seconds) as connection:
            return ask(connection, password, user)
    except ConnectionRefusedError:
        return 0  # no Dovecot, no session
    except OSError:
        return None


def ask(connection: socket.socket, password: str, user: str | None) -> int | None:
    credentials = base64.b64encode(b"\0doveadm\0" + password.encode("utf-8"))
    connection.sendall(b"VERSION\tdoveadm-server\t1\t2\nPLAIN\t%s\n" % credentials)
    # its version, that it wants a password, and what it thinks of this one
    if answer(connection, 3) is None:
        return None
    mask = b"" if user is None else b"\t" + user.encode("utf-8")
    connection.sendall(b"\t\twho%s\n" % mask)
    said = answer(connection, 2)
    return None if said is None else sum(int(count) for count in ROW.findall(said))


def answer(connection: socket.socket, lines: int) -> bytes | None:
    """What comes until the end of a successful answer of so many lines at least; None when it was none."""
    said = b""
    while True:
        end = END.search(said) if said.count(b"\n") >= lines else None
        if end:
            return said if end.group(1) == b"+" else None
        piece = connection.recv(65536)
        if not piece:
            return None
        said += piece
