#!/usr/bin/python
# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
---
module: await_synchronisation
short_description: Synchronise all users of a node with its partner, and tell how far it is
description:
  - Queues every user at the node's replicator and waits, without an end, until each was synchronised with success
    B(after) that. What was synchronised before does not count.
  - Tells every few seconds how many users are done, how many are to go, and how many have failed and are tried again.
  - For what a node's mail depends on, as in C(playbooks/fill_node.yml). M(mailcluster.dovecot.replicator_user) with
    O(mailcluster.dovecot.replicator_user#module:wait) does the same with a time limit, and silently.
version_added: 0.1.0
author: mailcluster.dovecot contributors (@mailcluster)
extends_documentation_fragment:
  - mailcluster.dovecot.attributes
  - mailcluster.dovecot.attributes.action
attributes:
  action:
    support: full
  check_mode:
    support: none
  diff_mode:
    support: none
  idempotent:
    support: none
    details: Each run synchronises all users.
options:
  patience:
    description: Seconds after which it fails, naming the users, when nobody is left but users who fail each time.
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
