# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: fill_obstacles
short_description: What stands in the way of filling a node with the mail of its partner
description:
  - Judges what C(node_info) told of both nodes, for C(playbooks/fill_node.yml).
version_added: 0.1.0
author: mailcluster.dovecot contributors (@mailcluster)
positional: new, facts
options:
  _input:
    description: The topology, as M(mailcluster.dovecot.preflight) returns it.
    type: dict
    required: true
  new:
    description: The name of the node to fill.
    type: str
    required: true
  facts:
    description: What M(mailcluster.dovecot.node_info) returned, by the names of the nodes that were reached.
    type: dict
    required: true
  anyway:
    description: The node that is to be filled though it is alive or has mail.
    type: str
    default: ''
  mail_home:
    description: The folder of the mail.
    type: path
    default: /var/vmail
"""

EXAMPLES = r"""
- name: Check the node to fill and its partner
  ansible.builtin.assert:
    that: (topology | mailcluster.dovecot.fill_obstacles('mail2', facts)) | length == 0
"""

RETURN = r"""
_value:
  description: Sentences, each with its remedy. None when the node may be filled.
  type: list
  elements: str
"""

from collections.abc import Callable

from ansible_collections.mailcluster.dovecot.plugins.plugin_utils._filling import fill_obstacles


class FilterModule:
    def filters(self) -> dict[str, Callable[..., object]]:
        return {"fill_obstacles": fill_obstacles}
