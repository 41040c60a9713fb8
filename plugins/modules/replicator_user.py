#!/usr/bin/python
# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: replicator_user
short_description: A user, or many, at a node's replicator - known, synchronised, or forgotten
description:
  - Brings users into the wanted state at the replicator of this node. Each node of a pair has its own.
version_added: 0.1.0
author: mailcluster.dovecot contributors (@mailcluster)
extends_documentation_fragment:
  - mailcluster.dovecot.attributes
  - mailcluster.dovecot.attributes.full
  - mailcluster.dovecot.attributes.platform
  - mailcluster.dovecot.doveadm
  - mailcluster.dovecot.doveadm.replicator
attributes:
  idempotent:
    details: With O(max_age=0), O(state=synchronised) asks for a synchronisation each time.
options:
  user:
    description:
      - A user's name, or a mask in which V(*) and V(?) stand for other characters. Masks are matched with the user database.
      - A name that the user database does not have is refused. doveadm itself would take it and report success.
    type: str
    required: true
  state:
    description:
      - V(present), the replicator knows the users, but for those with C(noreplicate) in the user database. It synchronises
        a new one at once, as a whole.
      - V(synchronised), they were synchronised without failure within O(max_age) seconds, or are queued now.
      - V(absent), the replicator has forgotten them. See RV(returns).
    type: str
    choices: [present, synchronised, absent]
    default: present
  full:
    description:
      - Whether a full pass is meant with O(state=synchronised), in which dsync compares all mails, not only what changed.
      - It is made by forgetting and adding the user. C(doveadm replicator replicate -f) makes none.
    type: bool
    default: false
  priority:
    description: In which queue users are put with O(state=synchronised). A user who waits in a higher one stays there.
    type: str
    choices: [low, high, sync]
    default: low
  max_age:
    description:
      - With O(state=synchronised), how long ago the last success may be, in seconds, to count. It makes the task repeatable.
      - 0 asks for a synchronisation in any case.
    type: int
    default: 60
  wait:
    description:
      - Whether to wait, for O(timeout) seconds at the most, until all users asked for have been synchronised and none waits.
        With O(user=*), that is the whole queue.
      - Fails with the names of those that failed. They are then tried again by the replicator after five minutes.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: All users were synchronised within the last minute
  mailcluster.dovecot.replicator_user:
    user: "*"
    state: synchronised
    wait: true
    timeout: 600

- name: Compare all mails of Alice on both nodes, before the others
  mailcluster.dovecot.replicator_user:
    user: alice@example.org
    state: synchronised
    full: true
    priority: high
    wait: true

- name: The replicator knows all users
  mailcluster.dovecot.replicator_user:
    user: "*"

- name: Stop replicating Bob, whose entry in dovecot_users says noreplicate
  mailcluster.dovecot.replicator_user:
    user: bob@example.org
    state: absent
"""

RETURN = r"""
users:
  description:
    - State of the user asked for, and with a mask of RV(changed_users), by name, as of
      RV(mailcluster.dovecot.replicator_info#module:users).
  returned: success
  type: dict
  sample: {"alice@example.org": {"priority": "low", "fast_sync_age": 40, "full_sync_age": 3600, "success_age": 40,
                                 "failed": false}}
changed_users:
  description: Whom the replicator was told about, or would be.
  returned: success
  type: list
  elements: str
  sample: ["alice@example.org"]
returns:
  description:
    - Users who were removed and come back with the next listing of the user database (when Dovecot starts), or with their
      next mail, because their entry there has no C(noreplicate) field (C(noreplicate) in C(dovecot_users)).
  returned: O(state=absent)
  type: list
  elements: str
  sample: ["bob@example.org"]
failed_users:
  description: Whose synchronisation failed, or who cannot be looked up in the user database.
  returned: O(wait=true), or on failure
  type: list
  elements: str
  sample: []
"""

from ansible_collections.mailcluster.dovecot.plugins.module_utils import _module
from ansible_collections.mailcluster.dovecot.plugins.module_utils._replicator_user import converge
from ansible_collections.mailcluster.dovecot.plugins.module_utils._types import Options

OPTIONS: Options = {
    "user": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["present", "synchronised", "absent"], "default": "present"},
    "full": {"type": "bool", "default": False},
    "priority": {"type": "str", "choices": ["low", "high", "sync"], "default": "low"},
    "max_age": {"type": "int", "default": 60},
    "wait": {"type": "bool", "default": False},
}


def main() -> None:
    _module.run(converge, dict(_module.SOCKET, **OPTIONS))


if __name__ == "__main__":
    main()
