# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: move_obstacles
short_description: What is wrong with the request to move a user to another partition
description:
  - Judges the request itself, for C(playbooks/move_user.yml), before anything is asked about the user.
version_added: 0.1.0
author: mailcluster.dovecot contributors (@mailcluster)
positional: user, to, reached
options:
  _input:
    description: The topology, as M(mailcluster.dovecot.preflight) returns it.
    type: dict
    required: true
  user:
    description: The name of the user.
    type: str
    required: true
  to:
    description: The partition to move to.
    type: str
    required: true
  reached:
    description: The names of the nodes that were reached.
    type: list
    elements: str
    required: true
  users:
    description: The users of C(dovecot_users).
    type: list
    elements: dict
    default: []
"""

EXAMPLES = r"""
- name: Refuse what cannot be done
  ansible.builtin.assert:
    that: (topology | mailcluster.dovecot.move_obstacles('alice@example.org', 'b', ansible_play_hosts)) | length == 0
"""

RETURN = r"""
_value:
  description: Sentences, each with its remedy. None when the move may begin.
  type: list
  elements: str
"""

from collections.abc import Callable

from ansible_collections.mailcluster.dovecot.plugins.plugin_utils._moving import move_obstacles


class FilterModule:
    def filters(self) -> dict[str, Callable[..., object]]:
        return {"move_obstacles": move_obstacles}
