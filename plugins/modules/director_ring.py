#!/usr/bin/python
# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: director_ring
short_description: Members of a running director ring
description:
  - Adds a director to the running ring, or removes one that is permanently dead.
  - The ring forgets this at its next start, so make the same change in the configuration (C(director_servers)).
  - A director that still answers at its ring port is not removed, because that would split the ring. Stop its Dovecot
    first.
version_added: 0.1.0
author: mailcluster.dovecot contributors (@mailcluster)
extends_documentation_fragment:
  - mailcluster.dovecot.attributes
  - mailcluster.dovecot.attributes.full
  - mailcluster.dovecot.attributes.platform
  - mailcluster.dovecot.doveadm
  - mailcluster.dovecot.doveadm.director
options:
  host:
    description: The director's ring address, IPv4 or IPv6, or a name that the node resolves to one address.
    type: str
    required: true
  port:
    description: Its ring port. Without it, the port of the director that runs this.
    type: int
  state:
    description: Whether it shall be a member.
    type: str
    choices: [present, absent]
    default: present
  force:
    description: Whether to remove a director that still answers, and to add one that does not.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: A new director joins
  mailcluster.dovecot.director_ring:
    host: 198.51.100.23

- name: A director that died is forgotten
  mailcluster.dovecot.director_ring:
    host: 198.51.100.23
    state: absent
"""

RETURN = r"""
ring:
  description: The ring as this director sees it now, as RV(mailcluster.dovecot.director_info#module:ring).
  returned: success
  type: dict
  sample: {"synced": true, "status": "ring synced", "self": "198.51.100.21:9090", "directors": []}
commands:
  description: What the ring was told, or would be told, as words after C(doveadm director).
  returned: success
  type: list
  elements: list
  sample: [["ring", "add", "198.51.100.23", "9090"]]
"""

from ansible_collections.mailcluster.dovecot.plugins.module_utils import _module
from ansible_collections.mailcluster.dovecot.plugins.module_utils._director_ring import converge
from ansible_collections.mailcluster.dovecot.plugins.module_utils._types import Options

OPTIONS: Options = {
    "host": {"type": "str", "required": True},
    "port": {"type": "int"},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "force": {"type": "bool", "default": False},
}


def main() -> None:
    _module.run(converge, dict(_module.SOCKET, **OPTIONS))


if __name__ == "__main__":
    main()
