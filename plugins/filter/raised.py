# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: raised
short_description: The settings of the kernel that are too low on a node
description:
  - Leaves out what is as high as needed already, unless the node's own file sets it, so that a second run finds the same.
version_added: 0.1.0
author: mailcluster.dovecot contributors (@mailcluster)
positional: present
options:
  _input:
    description: Settings to the values that are needed, numbers or ranges of numbers.
    type: dict
    required: true
  present:
    description: RV(mailcluster.dovecot.node_info#module:kernel).
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Show what is too low
  ansible.builtin.debug:
    msg: "{{ {'net.core.somaxconn': 5000}
      | mailcluster.dovecot.raised({'net.core.somaxconn': {'value': '4096', 'ours': false}}) }}"
"""

RETURN = r"""
_value:
  description: Settings to the values that they have to get.
  type: dict
  sample: {"net.core.somaxconn": 5000}
"""

from collections.abc import Callable

from ansible_collections.mailcluster.dovecot.plugins.plugin_utils._sizing import raised


class FilterModule:
    def filters(self) -> dict[str, Callable[..., object]]:
        return {"raised": raised}
