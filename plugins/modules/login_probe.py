#!/usr/bin/python
# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: login_probe
short_description: Log in by IMAPS or POP3S as a user would
description:
  - Connects with TLS, checks the certificate, logs in, opens the INBOX (by IMAP read-only) and logs out.
  - Fails with the step that failed.
version_added: 0.1.0
author: mailcluster.dovecot contributors (@mailcluster)
extends_documentation_fragment:
  - mailcluster.dovecot.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: full
options:
  host:
    description: Address or name to connect to; the certificate must cover it.
    type: str
    required: true
  protocol:
    description: How the user logs in, always with TLS.
    type: str
    choices: [imap, pop3]
    default: imap
  port:
    description: The port, V(993) by default for IMAPS, and V(995) for POP3S.
    type: int
  user:
    description: Who logs in.
    type: str
    required: true
  password:
    description: The password.
    type: str
    required: true
  ca_file:
    description: PEM file of the certificate authority. Without it the system's authorities are trusted.
    type: path
  timeout:
    description: How long each step may take, in seconds.
    type: int
    default: 10
"""

EXAMPLES = r"""
- name: Log in through the VIP
  mailcluster.dovecot.login_probe:
    host: mail.example.org
    user: probe@example.org
    password: "{{ probe_password }}"
  delegate_to: localhost
"""

RETURN = r"""
messages:
  description: How many messages the INBOX has.
  returned: success
  type: int
  sample: 3
"""

import imaplib
import poplib
import ssl
from collections.abc import Callable
from typing import Any, NamedTuple

from ansible_collections.mailcluster.dovecot.plugins.module_utils import _main
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
    number, dummy = client.stat()
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


def main() -> None:
    _main.main(
        lambda module: {"changed": False, "messages": probe(module.params)},
        {
            "host": {"type": "str", "required": True},
            "protocol": {"type": "str", "choices": ["imap", "pop3"], "default": "imap"},
            "port": {"type": "int"},
            "user": {"type": "str", "required": True},
            "password": {"type": "str", "required": True, "no_log": True},
            "ca_file": {"type": "path"},
            "timeout": {"type": "int", "default": 10},
        },
    )


if __name__ == "__main__":
    main()
