#!/usr/bin/python
# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: director_user
short_description: Show, move or kick a user of a director ring
description:
  - Shows on which backend a user is. With O(backend), moves the user there. With O(kick), ends the user's sessions.
  - Moving ends the sessions too, and the next login goes to the new backend. The mail is not moved. All backends of a
    tag are expected to have it.
  - Any director of the ring will do, but each knows only the sessions that go through itself.
version_added: 0.1.0
author: mailcluster.dovecot contributors (@mailcluster)
extends_documentation_fragment:
  - mailcluster.dovecot.attributes
  - mailcluster.dovecot.attributes.full
  - mailcluster.dovecot.attributes.platform
  - mailcluster.dovecot.doveadm
  - mailcluster.dovecot.doveadm.director
options:
  user:
    description: The user's name, as the user database has it. Not a mask.
    type: str
    required: true
  tag:
    description:
      - The tag (partition) of the user.
      - Without it, the field C(director_tag) of the password database is asked for, which also tells whether there is such
        a user; without such a field, the backends' tag is taken if they all have the same.
    type: str
  backend:
    description:
      - Where the user shall be. An address, or a name that the node resolves to one address.
      - A backend with another tag is refused. The director would accept the move and never use it.
    type: str
  kick:
    description:
      - Whether the user's sessions are ended, at all directors.
      - Counted as a change when one goes through the director that runs this.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Where is Alice?
  mailcluster.dovecot.director_user:
    user: alice@example.org
  register: alice

- name: Show it
  ansible.builtin.debug:
    msg: "{{ alice.backend or 'not assigned, the next login goes to ' ~ alice.hashed }}"

- name: Move Alice
  mailcluster.dovecot.director_user:
    user: alice@example.org
    backend: 198.51.100.32

- name: End all sessions of Bob
  mailcluster.dovecot.director_user:
    user: bob@example.org
    kick: true
"""

RETURN = r"""
user:
  description: The user asked for.
  returned: success
  type: str
  sample: alice@example.org
tag:
  description: The tag in which the user was looked up. Empty for none.
  returned: success
  type: str
  sample: a
backend:
  description: The backend that the user is assigned to now, or would be in check mode. Null when to none.
  returned: success
  type: str
  sample: 198.51.100.32
expires:
  description: Until when that is remembered without a session, in the node's time zone. Null when not assigned.
  returned: success
  type: str
  sample: "2026-11-24 19:15:32"
hashed:
  description: Where the user would be sent if not assigned. Null when the tag has no backend that takes users.
  returned: success
  type: str
  sample: 198.51.100.31
configured:
  description: Where the user would be sent with the weights of the configuration file.
  returned: success
  type: str
  sample: 198.51.100.31
sessions:
  description: The user's sessions through this director, before anything was done.
  returned: success
  type: list
  elements: dict
  sample: [{"user": "alice@example.org", "service": "imap", "client": "192.0.2.7", "backend": "198.51.100.31"}]
ended:
  description:
    - How many sessions a move or a kick has ended, through whatever director, as the backend itself tells five seconds later at
      the most. Null when it cannot be asked, as C(director_backend) says.
  returned: success, not in check mode
  type: int
  sample: 3
commands:
  description: What the ring was told, or would be told, as words after C(doveadm director).
  returned: success
  type: list
  elements: list
  sample: [["move", "--", "alice@example.org", "198.51.100.32"]]
"""

from ansible_collections.mailcluster.dovecot.plugins.module_utils import _module
from ansible_collections.mailcluster.dovecot.plugins.module_utils._director_user import converge
from ansible_collections.mailcluster.dovecot.plugins.module_utils._types import Options

OPTIONS: Options = {
    "user": {"type": "str", "required": True},
    "tag": {"type": "str"},
    "backend": {"type": "str"},
    "kick": {"type": "bool", "default": False},
}


def main() -> None:
    _module.run(converge, dict(_module.SOCKET, **OPTIONS))


if __name__ == "__main__":
    main()
