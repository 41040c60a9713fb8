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
  - mailcluster.dovecot.attributes.no_diff
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

from ansible_collections.mailcluster.dovecot.plugins.module_utils import _main
from ansible_collections.mailcluster.dovecot.plugins.module_utils._login_probe import probe


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
