#!/usr/bin/python
# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: director_backends
short_description: Converge the list of backends of a running director ring
description:
  - Reads the live list once and tells the ring only what differs. Any director of the ring will do, one is enough.
  - Waits for the ring to be in sync before it reads.
  - A backend that an operator drained (weight 0) or took down stays as it is, and is reported in RV(kept), unless
    O(restore=true).
  - A backend whose tag changes is removed and added, because a director cannot change a tag. Its users are
    assigned again, and the diff says so.
version_added: 0.1.0
author: mailcluster.dovecot contributors (@mailcluster)
extends_documentation_fragment:
  - mailcluster.dovecot.attributes
  - mailcluster.dovecot.attributes.full
  - mailcluster.dovecot.attributes.platform
  - mailcluster.dovecot.doveadm
  - mailcluster.dovecot.doveadm.director
attributes:
  check_mode:
    details: On a node whose director is not running yet, all backends are announced as new.
options:
  backends:
    description: The backends that the ring shall have.
    type: list
    elements: dict
    required: true
    suboptions:
      host:
        description: Address, IPv4 or IPv6, or a name that the node resolves to one address.
        type: str
        required: true
      tag:
        description: The partition's name. Empty for none.
        type: str
        default: ""
      weight:
        description: Share of the users within the tag (Dovecot's vhosts count), 0 to 1000.
        type: int
        default: 100
      state:
        description: Whether new users are sent to it.
        type: str
        choices: [up, down]
        default: up
  exclusive:
    description: Whether backends that are not listed are removed from the ring.
    type: bool
    default: false
  restore:
    description: Whether backends that were drained or taken down get the declared weight and state back.
    type: bool
    default: false
  flush:
    description:
      - What becomes of the users who are on another backend than the ring would choose for them now, after weights changed.
      - V(kick) ends their sessions, and their next login goes where it belongs.
      - V(forget) only forgets where everybody is. Who logs in then may be on two backends at once, so use it on an
        idle cluster only.
      - Counted as a change when somebody was elsewhere.
    type: str
    choices: [none, kick, forget]
    default: none
"""

EXAMPLES = r"""
- name: Two partitions of two backends each, and nothing else
  mailcluster.dovecot.director_backends:
    exclusive: true
    backends:
      - {host: 198.51.100.31, tag: a}
      - {host: 198.51.100.32, tag: a}
      - {host: 198.51.100.41, tag: b}
      - {host: 198.51.100.42, tag: b, weight: 50}

- name: Remember the ring as it is
  mailcluster.dovecot.director_info:
  register: remembered

- name: Bring the ring back to that, drained and lowered hosts included
  mailcluster.dovecot.director_backends:
    backends: "{{ remembered.declared }}"
    exclusive: true
    restore: true

- name: Spread the users again, after a backend came back
  mailcluster.dovecot.director_backends:
    backends: []
    flush: kick
"""

RETURN = r"""
backends:
  description: The list as it is now, or would be in check mode, by host.
  returned: success
  type: dict
  sample: {"198.51.100.31": {"tag": "a", "weight": 100, "state": "up", "users": 12}}
kept:
  description: Hosts that were left drained or down, against what is declared.
  returned: success
  type: list
  elements: str
  sample: ["198.51.100.42"]
retagged:
  description: Hosts that were removed and added again with another tag.
  returned: success
  type: list
  elements: str
  sample: []
flushed:
  description: How many users were moved, or would be, by O(flush).
  returned: success
  type: int
  sample: 0
commands:
  description: What the ring was told, or would be told, as words after C(doveadm director).
  returned: success
  type: list
  elements: list
  sample: [["add", "198.51.100.42@b", "50"]]
"""

from ansible_collections.mailcluster.dovecot.plugins.module_utils import _module
from ansible_collections.mailcluster.dovecot.plugins.module_utils._director_backends import converge
from ansible_collections.mailcluster.dovecot.plugins.module_utils._types import Options

OPTIONS: Options = {
    "backends": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            "host": {"type": "str", "required": True},
            "tag": {"type": "str", "default": ""},
            "weight": {"type": "int", "default": 100},
            "state": {"type": "str", "choices": ["up", "down"], "default": "up"},
        },
    },
    "exclusive": {"type": "bool", "default": False},
    "restore": {"type": "bool", "default": False},
    "flush": {"type": "str", "choices": ["none", "kick", "forget"], "default": "none"},
}


def main() -> None:
    _module.run(converge, dict(_module.SOCKET, **OPTIONS))


if __name__ == "__main__":
    main()
