# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: served
short_description: The ports of those services that the cluster has
description:
  - Leaves out the services of the protocols that the cluster does not serve.
version_added: 0.1.0
author: mailcluster.dovecot contributors (@mailcluster)
positional: protocols
options:
  _input:
    description: A port for each of the services C(imap), C(imaps), C(pop3), C(pop3s), C(lmtp) and C(sieve).
    type: dict
    required: true
  protocols:
    description: The protocols that are served.
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
- name: Show where clients of IMAP connect
  ansible.builtin.debug:
    msg: "{{ {'imap': 143, 'imaps': 993, 'pop3': 110} | mailcluster.dovecot.served(['imap']) }}"
"""

RETURN = r"""
_value:
  description: The ports of the services that are left, in the order of the protocols above.
  type: dict
  sample: {"imap": 143, "imaps": 993}
"""

from collections.abc import Callable

from ansible_collections.mailcluster.dovecot.plugins.plugin_utils._services import served


class FilterModule:
    def filters(self) -> dict[str, Callable[..., object]]:
        return {"served": served}
