#!/usr/bin/python
# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
---
module: preflight
short_description: Refuse an inventory or nodes that cannot be deployed, before anything is changed
description:
  - Reads the inventory's groups below C(dovecot_cluster) and gives the topology that the roles render from.
  - Finds every mistake that the inventory alone shows and reports all of them in one message, each with the variable,
    its value and the remedy.
  - Reads the variables of each host on the controller and judges them by the argument specifications of the roles that the host
    gets, then by names that nothing reads, then by what must hold between variables and between hosts.
  - With O(nodes), judges what M(mailcluster.dovecot.node_info) found on the nodes instead.
  - Runs on the controller. No connection to a node is opened.
version_added: 0.1.0
author: mailcluster.dovecot contributors (@mailcluster)
extends_documentation_fragment:
  - mailcluster.dovecot.attributes
  - mailcluster.dovecot.attributes.no_diff
  - mailcluster.dovecot.attributes.action
options:
  nodes:
    description: Node name to the result of M(mailcluster.dovecot.node_info).
    type: dict
  storage:
    description: What this module told of the shared storage, when it judged the inventory.
    type: dict
    default: {}
  asked_at:
    description: When this module judged the inventory, in seconds since 1970; the nodes were read after that.
    type: float
  secrets:
    description: What this module told of the secrets that all nodes share, when it judged the inventory.
    type: dict
    default: {}
  active_passive:
    description: What this module told of active/passive pairs, when it judged the inventory.
    type: dict
    default: {}
  topology:
    description: The topology that this module told, when it judged the inventory.
    type: dict
  filled:
    description: The node that is being filled from its partner now. Any other that was not filled to the end is refused.
    type: str
    default: ""
"""

EXAMPLES = r"""
- name: Refuse a wrong inventory
  mailcluster.dovecot.preflight:
  run_once: true
  register: cluster
"""

RETURN = r"""
time:
  description: The controller's clock, in seconds since 1970.
  returned: success, without O(nodes)
  type: float
nonce:
  description: The key of the digests in RV(secrets), a new one each time.
  returned: success, without O(nodes)
  type: str
secrets:
  description: Variable to the C(digest) of its value and to the C(nodes) that have it.
  returned: success, without O(nodes)
  type: dict
storage:
  description: Name of each backend with shared storage to what is declared of it.
  returned: success, without O(nodes)
  type: dict
active_passive:
  description: Name of each node of an active/passive pair to what is declared of it.
  returned: success, without O(nodes)
  type: dict
values:
  description:
    - Name of each host for which the inventory has a value in another form than the roles expect (the text C("no") for a
      boolean, a number for a name, a part of a mapping), to such variables with their values as the roles expect them.
  returned: success, without O(nodes)
  type: dict
topology:
  description: The cluster as the inventory declares it.
  returned: success, without O(nodes)
  type: dict
  contains:
    nodes:
      description: Node name to C(name), C(address), C(hostname), C(roles), C(partition), C(weight), C(partner).
      type: dict
    partitions:
      description: Partition name to the names of its backends.
      type: dict
      sample: {"a": ["a1", "a2"]}
    loadbalancers:
      description: Names of the load balancers.
      type: list
      elements: str
    directors:
      description: Names of the directors.
      type: list
      elements: str
    backends:
      description: Names of the backends.
      type: list
      elements: str
    ring_backends:
      description: The backends as M(mailcluster.dovecot.director_backends) takes them.
      type: list
      elements: dict
    vip:
      description: C(address) and C(prefix) of the VIP, or null.
      type: dict
"""
