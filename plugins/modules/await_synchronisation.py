#!/usr/bin/python
# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
---
module: await_synchronisation
short_description: Synchronise all users of a node with its partner, and show the progress
description:
  - Queues every user at the node's replicator and waits, without a time limit, until each was synchronised successfully
    B(after) that. What was synchronised before does not count.
  - Shows every few seconds how many users are done, how many are left, and how many have failed and are tried again.
  - Use it before steps that need all mail on the partner, as in C(playbooks/fill_node.yml).
  - M(mailcluster.dovecot.replicator_user) with
    O(mailcluster.dovecot.replicator_user#module:wait) does the same with a time limit, and silently.
version_added: 0.1.0
author: mailcluster.dovecot contributors (@mailcluster)
extends_documentation_fragment:
  - mailcluster.dovecot.attributes
  - mailcluster.dovecot.attributes.action
attributes:
  check_mode:
    support: none
  diff_mode:
    support: none
  idempotent:
    support: none
    details: Each run synchronises all users.
options:
  patience:
    description: Seconds after which it fails and names the users, if the only users left are those who fail each time.
    type: int
    default: 600
"""

EXAMPLES = r"""
- name: The partner has all mail
  mailcluster.dovecot.await_synchronisation:
"""

RETURN = r"""
users:
  description: How many users were synchronised.
  returned: success
  type: int
  sample: 1000
"""
