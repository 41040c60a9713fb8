#!/usr/bin/python
# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: director_backend
short_description: One backend of a running director ring - up, down, drained, absent
description:
  - Brings one backend of the ring into the wanted state. Run it on one director of the ring; any will do.
  - Waits for the ring to be in sync before it reads.
  - A drain shows every few seconds what is left, and for how long it waits.
version_added: 0.1.0
author: mailcluster.dovecot contributors (@mailcluster)
extends_documentation_fragment:
  - mailcluster.dovecot.attributes
  - mailcluster.dovecot.attributes.full
  - mailcluster.dovecot.attributes.action
  - mailcluster.dovecot.attributes.platform
  - mailcluster.dovecot.doveadm
  - mailcluster.dovecot.doveadm.director
attributes:
  check_mode:
    details: It does not wait for users to leave. Users who are there are reported as flushed if O(flush) says so.
options:
  host:
    description: Address, IPv4 or IPv6, or a name that the node resolves to one address.
    type: str
    required: true
  state:
    description:
      - V(up) sends users to it, with O(weight) if given, otherwise with the weight it had before it was drained. It is added
        to the ring if it is missing.
      - V(down) stops sending new users to it at once. Those who are assigned to it stay, unless O(flush) says otherwise. A
        monitor that took the backend down itself may raise it again. V(drained) is safe from that.
      - V(drained) sets the weight to 0, so that new users go elsewhere at once, waits for up to O(drain_timeout) seconds
        until nobody has a session on it, and remembers the former weight.
      - V(absent) removes it from the ring.
    type: str
    choices: [up, down, drained, absent]
    default: up
  tag:
    description:
      - The partition's name. Needed to add a backend to a ring that uses tags.
      - A backend that has another tag is removed and added again, and its users are assigned again.
    type: str
  weight:
    description: Share of the users within the tag (Dovecot's vhosts count), 0 to 1000. Only for O(state=up).
    type: int
  drain_timeout:
    description:
      - For O(state=drained), the longest time to wait until it has no sessions, in seconds. 0 does not wait.
      - The backend itself is asked for its IMAP, POP3 and ManageSieve sessions, since each director knows only its own. As
        soon as there is none, those who are still assigned to it are flushed, else their next login would lead there.
      - It is asked at C(doveadm_port) with C(doveadm_password), both of this director's configuration. Where it does not
        answer, or only with TLS, the users that the ring has assigned to it are counted instead. The ring forgets a user
        C(director_user_expire) (15 minutes by default) after the last session.
    type: int
    default: 60
  flush:
    description:
      - What happens to users who are still assigned to the backend, with O(state=drained) after O(drain_timeout). Users
        without a session do not matter then.
      - V(none) leaves them. A drain for which O(drain_timeout) was too short then fails, and the backend stays drained.
      - V(kick) ends their sessions, and their next login goes elsewhere.
      - V(forget) only forgets where they are. Their sessions continue, so that one user may be on two backends at once.
    type: str
    choices: [none, kick, forget]
    default: none
  force:
    description: Whether the last backend of a tag that takes users may be taken out of use.
    type: bool
    default: false
  state_dir:
    description: Where this node remembers the weights of drained backends.
    type: path
    default: /var/lib/mailcluster-dovecot
"""

EXAMPLES = r"""
- name: Take a backend out for work, whoever is still on it after a minute is kicked
  mailcluster.dovecot.director_backend:
    host: 198.51.100.31
    state: drained
    flush: kick

- name: Give people half an hour
  mailcluster.dovecot.director_backend:
    host: 198.51.100.31
    state: drained
    drain_timeout: 1800
    flush: kick

- name: Bring it back with the weight it had
  mailcluster.dovecot.director_backend:
    host: 198.51.100.31
    state: up

- name: Give it half of the share
  mailcluster.dovecot.director_backend:
    host: 198.51.100.31
    weight: 50

- name: Add a backend to partition b
  mailcluster.dovecot.director_backend:
    host: 198.51.100.43
    tag: b
    weight: 100

- name: Remove it
  mailcluster.dovecot.director_backend:
    host: 198.51.100.43
    state: absent
"""

RETURN = r"""
backend:
  description: The backend as it is now, or would be in check mode. Null when it is absent.
  returned: success
  type: dict
  sample: {"tag": "a", "weight": 0, "state": "up", "users": 0}
former_weight:
  description: The weight that is remembered for O(state=up). Null when none is.
  returned: success
  type: int
  sample: 100
flushed:
  description: How many users were flushed, or would be.
  returned: success
  type: int
  sample: 2
ended:
  description:
    - How many sessions on the backend O(flush=kick) has ended, as the backend itself tells five seconds later at the most.
      Null when it cannot be asked, 0 without a kick.
  returned: success, not in check mode
  type: int
  sample: 3
commands:
  description: What the ring was told, or would be told, as words after C(doveadm director).
  returned: success
  type: list
  elements: list
  sample: [["update", "198.51.100.31", "0"], ["flush", "198.51.100.31"]]
remaining:
  description: How many sessions, or users, were left when O(drain_timeout) was over.
  returned: when a drain took too long
  type: int
  sample: 2
counted:
  description: What RV(remaining) counts, V(sessions) or V(users).
  returned: when a drain took too long
  type: str
  sample: sessions
"""

from ansible_collections.mailcluster.dovecot.plugins.module_utils import _module
from ansible_collections.mailcluster.dovecot.plugins.module_utils._director_backend import converge
from ansible_collections.mailcluster.dovecot.plugins.module_utils._types import Options

OPTIONS: Options = {
    "host": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["up", "down", "drained", "absent"], "default": "up"},
    "tag": {"type": "str"},
    "weight": {"type": "int"},
    "drain_timeout": {"type": "int", "default": 60},
    "flush": {"type": "str", "choices": ["none", "kick", "forget"], "default": "none"},
    "force": {"type": "bool", "default": False},
    "state_dir": {"type": "path", "default": "/var/lib/mailcluster-dovecot"},
}


def main() -> None:
    _module.run(converge, dict(_module.SOCKET, **OPTIONS))


if __name__ == "__main__":
    main()
