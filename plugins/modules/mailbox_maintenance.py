#!/usr/bin/python
# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: mailbox_maintenance
short_description: Purge, resynchronise and recalculate mailboxes on this node
description:
  - Runs C(doveadm purge), C(force-resync) and C(quota recalc) for users of this node, one user after the other.
  - Replication copies mail only. Each node of a pair has indexes and storage of its own, so run it on each.
  - A user whose maintenance fails does not keep it from the others. The module fails at the end, with all names.
version_added: 0.1.0
author: mailcluster.dovecot contributors (@mailcluster)
extends_documentation_fragment:
  - mailcluster.dovecot.attributes
  - mailcluster.dovecot.attributes.full
  - mailcluster.dovecot.attributes.platform
  - mailcluster.dovecot.doveadm
attributes:
  check_mode:
    support: partial
    details:
      - Whether a purge would remove anything is known exactly.
      - What V(quota_recalc) and V(force_resync) would find is not known before they run. They are announced as a change for
        every user.
  idempotent:
    details: A message that arrives during V(quota_recalc) or V(force_resync) counts as a change.
options:
  actions:
    description:
      - What to do, in this order.
      - V(force_resync) repairs mailboxes whose indexes are broken, V(quota_recalc) counts what they hold, V(purge) frees the
        space of expunged messages in mdbox files (other formats need none, and are never changed by it).
    type: list
    elements: str
    choices: [force_resync, quota_recalc, purge]
    required: true
  users:
    description: The users, as names or masks in which V(*) and V(?) stand for other characters.
    type: list
    elements: str
    default: ["*"]
  mailbox:
    description:
      - Which mailboxes V(force_resync) looks at, a name or a mask.
      - A user who has no mailbox of a given name fails, one who has none of a mask does not.
      - The storage of an mdbox is always rebuilt as a whole, with V(*) once only.
    type: str
    default: "*"
  timeout:
    description: How long the module may take in all, in seconds.
    type: int
    default: 3600
"""

EXAMPLES = r"""
- name: Free the space of expunged mail
  mailcluster.dovecot.mailbox_maintenance:
    actions: [purge]

- name: Repair the indexes of Alice, and count again
  mailcluster.dovecot.mailbox_maintenance:
    actions: [force_resync, quota_recalc]
    users: [alice@example.org]
"""

RETURN = r"""
users:
  description: How many users were looked after.
  returned: success and failure
  type: int
  sample: 4
changes:
  description: For users that were changed, what each action found before and after, by user and action.
  returned: success and failure
  type: dict
  sample: {"alice@example.org": {"purge": {"before": {"expunged": 2}, "after": {"expunged": 0}}}}
failed_users:
  description: What went wrong, by user.
  returned: success and failure
  type: dict
  sample: {}
"""

from ansible_collections.mailcluster.dovecot.plugins.module_utils import _module
from ansible_collections.mailcluster.dovecot.plugins.module_utils._mailbox_maintenance import converge
from ansible_collections.mailcluster.dovecot.plugins.module_utils._types import Options

OPTIONS: Options = {
    "actions": {"type": "list", "elements": "str", "choices": ["force_resync", "quota_recalc", "purge"], "required": True},
    "users": {"type": "list", "elements": "str", "default": ["*"]},
    "mailbox": {"type": "str", "default": "*"},
    "timeout": {"type": "int", "default": 3600},
}


def main() -> None:
    _module.run(converge, OPTIONS)


if __name__ == "__main__":
    main()
