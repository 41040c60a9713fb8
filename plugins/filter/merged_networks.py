# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
name: merged_networks
short_description: Addresses and networks by family, without overlaps
description:
  - Sorts addresses and networks into C(ipv4) and C(ipv6) and merges those that overlap or touch, as an nftables set
    with intervals demands.
version_added: 0.1.0
author: mailcluster.dovecot contributors (@mailcluster)
options:
  _input:
    description: Addresses or networks.
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
- name: Show the networks
  ansible.builtin.debug:
    msg: "{{ ['198.51.100.0/25', '198.51.100.7', '2001:db8::1'] | mailcluster.dovecot.merged_networks }}"
"""

RETURN = r"""
_value:
  description: C(ipv4) and C(ipv6), each a list of networks.
  type: dict
  sample: {"ipv4": ["198.51.100.0/25"], "ipv6": ["2001:db8::1/128"]}
"""

from collections.abc import Callable

from ansible_collections.mailcluster.dovecot.plugins.plugin_utils._topology import merged_networks


class FilterModule:
    def filters(self) -> dict[str, Callable[..., object]]:
        return {"merged_networks": merged_networks}
