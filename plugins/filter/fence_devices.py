# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
name: fence_devices
short_description: The fence devices of an active/passive pair
description:
  - Of what is declared for each node, the devices as Pacemaker has them. There is one
    for each node, and none where fencing is V(none).
version_added: 0.1.0
author: mailcluster.dovecot contributors (@mailcluster)
positional: _input, pairs
options:
  _input:
    description: >-
      The pair's nodes, as M(mailcluster.dovecot.preflight) returns them in RV(mailcluster.dovecot.preflight#module:topology).
    type: list
    elements: dict
    required: true
  pairs:
    description: RV(mailcluster.dovecot.preflight#module:active_passive), node to what is declared of it.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Show what switches the nodes off
  ansible.builtin.debug:
    msg: "{{ nodes | mailcluster.dovecot.fence_devices(pairs) | map(attribute='name') }}"
"""

RETURN = r"""
_value:
  description: C(name), C(agent), C(options), and C(hosts), the host names of the nodes that it switches off.
  type: list
  elements: dict
  sample: [{"name": "mail1", "agent": "fence_ipmilan", "options": {"ip": "192.0.2.130"}, "hosts": ["mail1"]}]
"""

from collections.abc import Callable, Iterable, Mapping

from ansible_collections.mailcluster.dovecot.plugins.module_utils._fencing import FenceDevice
from ansible_collections.mailcluster.dovecot.plugins.module_utils._sbd import msgwait_of
from ansible_collections.mailcluster.dovecot.plugins.plugin_utils._active_passive import BY_MESSAGE, Declared
from ansible_collections.mailcluster.dovecot.plugins.plugin_utils._topology import Node

ANSWER = 10  # seconds for what the agent does besides


def fence_devices(nodes: Iterable[Node], pairs: Mapping[str, Declared]) -> list[FenceDevice]:
    """One of each node, or one of both: with sbd, each reads the messages of the other."""
    members = list(nodes)
    first = pairs[members[0]["name"]]
    if first["fence_disks"]:
        # it answers when the time is over after which the node has reset itself
        least = {"power_timeout": str(msgwait_of(first["watchdog_timeout"]) + ANSWER)}
        options = {**least, **first["fencing"]["options"]}
        return [{"name": "disk", "agent": BY_MESSAGE, "options": options, "hosts": [node["hostname"] for node in members]}]
    return [
        {"name": node["hostname"], "agent": fencing["agent"], "options": fencing["options"], "hosts": [node["hostname"]]}
        for node in members
        if (fencing := pairs[node["name"]]["fencing"])["agent"] != "none"
    ]


class FilterModule:
    def filters(self) -> dict[str, Callable[..., object]]:
        return {"fence_devices": fence_devices}
