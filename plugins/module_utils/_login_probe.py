# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Logs in as a user would, step by step."""

from __future__ import annotations

import imaplib
import poplib
import ssl
from collections.abc import Callable
from typing import Any, NamedTuple

from ansible_collections.mailcluster.dovecot.plugins.module_utils._errors import Failure
from ansible_collections.mailcluster.dovecot.plugins.module_utils._types import Params


class ProbeFailed(Failure):
    """One step of the probe failed; says which."""


def probe(params: Params) -> int:
    """The number of messages in the INBOX."""
    connect, log_in, count = STEPS[params["protocol"]]
    port = params["port"] or PORTS[params["protocol"]]
    where = "%s:%d" % (params["host"], port)
    try:
        context = ssl.create_default_context(cafile=params["ca_file"])
        client = connect(params["host"], port, context, params["timeout"])
    except ERRORS as error:
        raise ProbeFailed("no %sS connection to %s: %s" % (params["protocol"].upper(), where, error))
    try:
        log_in(client, params["user"], params["password"])
    except ERRORS as error:
        raise ProbeFailed("%s refused the login of %s: %s" % (where, params["user"], error))
    try:
        return count(client)
    except ERRORS as error:
        raise ProbeFailed("%s did not open the INBOX of %s: %s" % (where, params["user"], error))


def connect_imap(host: str, port: int, context: ssl.SSLContext, timeout: int) -> imaplib.IMAP4_SSL:
    return imaplib.IMAP4_SSL(host, port, ssl_context=context, timeout=timeout)


def connect_pop3(host: str, port: int, context: ssl.SSLContext, timeout: int) -> poplib.POP3_SSL:
    return poplib.POP3_SSL(host, port, context=context, timeout=timeout)


def log_in_by_imap(client: imaplib.IMAP4_SSL, user: str, password: str) -> None:
    client.login(user, password)


def log_in_by_pop3(client: poplib.POP3_SSL, user: str, password: str) -> None:
    client.user(user)
    client.pass_(password)


def count_by_imap(client: imaplib.IMAP4_SSL) -> int:
    answer: Any
    status, answer = client.select("INBOX", readonly=True)
    client.logout()
    if status != "OK" or answer[0] is None:
        raise imaplib.IMAP4.error(answer if answer[0] else "the server did not say how many messages there are")
    return int(answer[0])


def count_by_pop3(client: poplib.POP3_SSL) -> int:
    try:
        number, dummy = client.stat()
    except (ValueError, IndexError) as error:  # an answer without numbers
        raise poplib.error_proto("the server did not say how many messages there are") from error
    client.quit()
    return number


ERRORS = (OSError, imaplib.IMAP4.error, poplib.error_proto)
PORTS = {"imap": 993, "pop3": 995}


class Steps(NamedTuple):
    """What a protocol does with its own kind of client."""

    connect: Callable[..., Any]
    log_in: Callable[[Any, str, str], None]
    count: Callable[[Any], int]


STEPS = {"imap": Steps(connect_imap, log_in_by_imap, count_by_imap), "pop3": Steps(connect_pop3, log_in_by_pop3, count_by_pop3)}
