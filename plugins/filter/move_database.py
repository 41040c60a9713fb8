# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
---
name: move_database
short_description: In which database the home of a moved user is changed, and to what
description:
  - For playbooks/move_user.yml, before anything is changed.
version_added: 0.1.0
author: mailcluster.dovecot contributors (@mailcluster)
positional: user, to
options:
  _input:
    description: The databases, as the filter P(mailcluster.dovecot.user_databases#filter) completes them.
    type: list
    elements: dict
    required: true
  user:
    description: The user.
    type: str
    required: true
  to:
    description: The partition that the user goes to.
    type: str
    required: true
  users:
    description: Those of C(dovecot_users).
    type: list
    elements: dict
    default: []
  home_servers:
    description: What a database says of a user's home, and the partition that it means.
    type: dict
  named:
    description: The name of the user's database. By default C(dovecot_users) if the user is there, else the first other.
    type: str
  login:
    description: Who is to write, where that is not who Dovecot reads as.
    type: str
"""

EXAMPLES = r"""
- name: Check that the database can be changed
  ansible.builtin.assert:
    that: change.obstacles | length == 0
  vars:
    change: "{{ databases | mailcluster.dovecot.move_database('alice@example.org', 'b') }}"
"""

RETURN = r"""
_value:
  description:
    - C(database), null when there is none of that name; C(value), what it is to say; C(package), Debian's package of its client,
      empty where none is needed; C(obstacles), a sentence for each thing that stands in the way.
  type: dict
  sample: {"database": {"name": "pgsql", "driver": "pgsql"}, "value": "b", "package": "postgresql-client", "obstacles": []}
"""

from collections.abc import Callable

from ansible_collections.mailcluster.dovecot.plugins.plugin_utils._move_database import move_database


class FilterModule:
    def filters(self) -> dict[str, Callable[..., object]]:
        return {"move_database": move_database}
