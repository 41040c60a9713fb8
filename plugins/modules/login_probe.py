#!/usr/bin/python
# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: login_probe
short_description: Log in by IMAPS as a user would
description:
  - Connects with TLS, checks the certificate, logs in, opens the INBOX read-only and logs out.
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
  port:
    description: The IMAPS port.
    type: int
    default: 993
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
import ssl

from ansible.module_utils.basic import AnsibleModule


class ProbeFailed(Exception):
    """One step of the probe failed; says which."""


def probe(params):
    """The number of messages in the INBOX."""
    where = "%s:%d" % (params["host"], params["port"])
    try:
        context = ssl.create_default_context(cafile=params["ca_file"])
        imap = imaplib.IMAP4_SSL(params["host"], params["port"], ssl_context=context, timeout=params["timeout"])
    except (OSError, imaplib.IMAP4.error) as error:
        raise ProbeFailed("no IMAPS connection to %s: %s" % (where, error))
    try:
        imap.login(params["user"], params["password"])
    except (OSError, imaplib.IMAP4.error) as error:
        raise ProbeFailed("%s refused the login of %s: %s" % (where, params["user"], error))
    try:
        status, answer = imap.select("INBOX", readonly=True)
        imap.logout()
    except (OSError, imaplib.IMAP4.error) as error:
        raise ProbeFailed("%s did not open the INBOX of %s: %s" % (where, params["user"], error))
    if status != "OK":
        raise ProbeFailed("%s did not open the INBOX of %s: %s" % (where, params["user"], answer))
    return int(answer[0])


def main():
    module = AnsibleModule(
        argument_spec={
            "host": {"type": "str", "required": True},
            "port": {"type": "int", "default": 993},
            "user": {"type": "str", "required": True},
            "password": {"type": "str", "required": True, "no_log": True},
            "ca_file": {"type": "path"},
            "timeout": {"type": "int", "default": 10},
        },
        supports_check_mode=True,
    )
    try:
        module.exit_json(changed=False, messages=probe(module.params))
    except ProbeFailed as error:
        module.fail_json(msg=str(error))


if __name__ == "__main__":
    main()
