#!/usr/bin/python
# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: replicator_info
short_description: State of a node's replicator - queue, users, failures, connections
description:
  - Reads what C(doveadm replicator status), C(status '*') and C(dsync-status) tell, in a form that can be used as it is.
  - Each node of a pair has a replicator with a queue of its own. Ask both.
version_added: 0.1.0
author: mailcluster.dovecot contributors (@mailcluster)
extends_documentation_fragment:
  - mailcluster.dovecot.attributes
  - mailcluster.dovecot.attributes.no_diff
  - mailcluster.dovecot.attributes.platform
  - mailcluster.dovecot.doveadm
  - mailcluster.dovecot.doveadm.replicator
options:
  users:
    description: Whose state to tell in RV(users), a name or a mask with V(*) and V(?). Without it, RV(users) is null.
    type: str
  lag:
    description:
      - Look for RV(lagging_users), who wait longer than so many seconds for their synchronisation. 0, do not.
      - Who has failed is given as many seconds too, before being named in RV(failed_users). Now and then a user fails when
        both nodes of a pair synchronise the user at the same moment, and succeeds at the next try.
      - Takes as many seconds only while somebody waits. Changes reach the partner within a second unless something is wrong.
    type: int
    default: 0
  since:
    description:
      - Who was not synchronised since then counts as unsynchronised; in seconds since the epoch, by the node's clock, which
        RV(time) tells. 0, who was never synchronised.
      - Ages are whole seconds. Of what was asked for within a second after O(since), it cannot be told whether it was before.
    type: int
    default: 0
"""

EXAMPLES = r"""
- name: Read the replicator
  mailcluster.dovecot.replicator_info:
  register: replicator

- name: Nobody's replication has failed
  ansible.builtin.assert:
    that: replicator.failed_users | length == 0
    fail_msg: "Failed: {{ replicator.failed_users | join(', ') }}"

- name: When was Alice last synchronised?
  mailcluster.dovecot.replicator_info:
    users: alice@example.org
  register: replicator

- name: Show it
  ansible.builtin.debug:
    msg: "{{ replicator.users['alice@example.org'].success_age }} seconds ago"
"""

RETURN = r"""
summary:
  description: Numbers of users by what they wait for, and of all that the replicator knows.
  returned: success
  type: dict
  sample: {"queued_sync": 0, "queued_high": 0, "queued_low": 2, "queued_failed": 0, "queued_full_resync": 0,
           "waiting_failed": 1, "known_users": 4}
queued:
  description: The sum of those that wait for their turn now.
  returned: success
  type: int
  sample: 2
time:
  description: The node's clock when it was asked, in seconds since the epoch.
  returned: success
  type: int
  sample: 1764000000
failed_users:
  description:
    - The users whose last synchronisation has failed; with O(lag), those who had no success within it either.
      The replicator by itself tries them again after five minutes.
  returned: success
  type: list
  elements: str
  sample: ["bob@example.org"]
unsynchronised_users:
  description: The users who were never synchronised with success since the replicator knows them, or not since O(since).
  returned: success
  type: list
  elements: str
  sample: []
lagging_users:
  description:
    - The users who waited all the O(lag) seconds and were not synchronised meanwhile. Those who failed are not among them.
  returned: success
  type: list
  elements: str
  sample: []
connections:
  description: What dsync works on now.
  returned: success
  type: list
  elements: dict
  sample: [{"user": "alice@example.org", "type": "incremental", "status": "Waiting for dsync to finish"}]
users:
  description:
    - State of the users asked for, by name. Ages are in seconds. C(fast_sync_age) and C(full_sync_age) since the last pass of
      that kind began, C(success_age) since a pass last succeeded. Null is never.
  returned: success
  type: dict
  sample: {"alice@example.org": {"priority": "none", "fast_sync_age": 40, "full_sync_age": 3600, "success_age": 40,
                                 "failed": false}}
"""

from ansible_collections.mailcluster.dovecot.plugins.module_utils import _module
from ansible_collections.mailcluster.dovecot.plugins.module_utils._replicator_info import converge
from ansible_collections.mailcluster.dovecot.plugins.module_utils._types import Options

OPTIONS: Options = {"users": {"type": "str"}, "lag": {"type": "int", "default": 0}, "since": {"type": "int", "default": 0}}


def main() -> None:
    _module.run(converge, dict(_module.SOCKET, **OPTIONS))


if __name__ == "__main__":
    main()
