# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: sizing
short_description: What follows from the number of sessions that a node is made for
description:
  - Derives the limits of Dovecot, of systemd and of the kernel.
version_added: 0.1.0
author: mailcluster.dovecot contributors (@mailcluster)
positional: roles, cores, protocols
options:
  _input:
    description: The number of sessions.
    type: int
    required: true
  roles:
    description: The roles of the node.
    type: list
    elements: str
    required: true
  cores:
    description: The number of its processor cores.
    type: int
    default: 1
  protocols:
    description: What the cluster serves.
    type: list
    elements: str
    default: [imap, pop3, lmtp, sieve]
"""

EXAMPLES = r"""
- name: Show the limits of a backend for 5,000 sessions
  ansible.builtin.debug:
    msg: "{{ 5000 | mailcluster.dovecot.sizing(['server', 'backend'], 4) }}"
"""

RETURN = r"""
_value:
  description:
    - C(login_processes) of each protocol, with C(login_clients) and C(login_memory) each; C(processes) by service; C(everyone),
      the connections that a process must take to which each other one connects, and C(stats_memory) of one of these;
      C(sessions_of_one_client), of one user from one address; C(files) and C(tasks) for systemd; C(kernel), what the kernel must
      be set to at least.
  type: dict
  sample: {"sessions": 5000, "login_processes": 4, "login_clients": 2750, "processes": {"imap": 5000}, "files": 65535}
"""

from collections.abc import Callable

from ansible_collections.mailcluster.dovecot.plugins.plugin_utils._sizing import sizing


class FilterModule:
    def filters(self) -> dict[str, Callable[..., object]]:
        return {"sizing": sizing}
