#!/usr/bin/python
# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: user_info
short_description: The users that a node's user database lists
description:
  - Tells what C(doveadm user '*') lists. Replication in full passes and the director's map work for listed users only.
version_added: 0.1.0
author: mailcluster.dovecot contributors (@mailcluster)
extends_documentation_fragment:
  - mailcluster.dovecot.attributes
  - mailcluster.dovecot.attributes.no_diff
  - mailcluster.dovecot.attributes.platform
  - mailcluster.dovecot.doveadm
options:
  users:
    description: Whom to list, as names or masks in which V(*) and V(?) stand for other characters. A name that nobody has fails.
    type: list
    elements: str
    default: ["*"]
  expected:
    description: Names that should be among them. Case does not count.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: List the users
  mailcluster.dovecot.user_info:
    expected: [alice@example.org, bob@example.org]
  register: database

- name: Nobody is missing
  ansible.builtin.assert:
    that: database.missing | length == 0
"""

RETURN = r"""
users:
  description: The names, as the database writes them.
  returned: success
  type: list
  elements: str
  sample: ["alice@example.org", "bob@example.org"]
missing:
  description: Those of O(expected) who are not among them.
  returned: success
  type: list
  elements: str
  sample: []
"""

from ansible_collections.mailcluster.dovecot.plugins.module_utils import _module, _users, _values
from ansible_collections.mailcluster.dovecot.plugins.module_utils._doveadm import Doveadm
from ansible_collections.mailcluster.dovecot.plugins.module_utils._types import Options, Params, Result

OPTIONS: Options = {
    "users": {"type": "list", "elements": "str", "default": ["*"]},
    "expected": {"type": "list", "elements": "str", "default": []},
}


def converge(doveadm: Doveadm, params: Params, _check_mode: bool) -> Result:
    """The module's result."""
    for mask in params["users"]:
        _values.mask_of("users", mask)
    users = _users.matching(doveadm, params["users"])
    listed = {name.lower() for name in users}
    return {"changed": False, "users": users, "missing": [name for name in params["expected"] if name.lower() not in listed]}


def main() -> None:
    _module.run(converge, OPTIONS)


if __name__ == "__main__":
    main()
