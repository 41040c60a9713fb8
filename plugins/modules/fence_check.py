#!/usr/bin/python
# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: fence_check
short_description: Check that the fence devices of an active/passive pair can do their work
description:
  - The agent is installed, knows each option, and gets an answer when it asks for the other node's state. Nothing is switched
    off.
  - A device that switches off both nodes, as that of C(fence_sbd), is not asked. Its disks may not be initialised yet.
version_added: 0.1.0
author: mailcluster.dovecot contributors (@mailcluster)
extends_documentation_fragment:
  - mailcluster.dovecot.attributes
  - mailcluster.dovecot.attributes.no_diff
  - mailcluster.dovecot.attributes.platform
options:
  devices:
    description: The devices, as P(mailcluster.dovecot.fence_devices#filter) gives them.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Its name.
        type: str
        required: true
      agent:
        description: The fence agent.
        type: str
        required: true
      options:
        description: The agent's options.
        type: dict
        default: {}
      hosts:
        description: The nodes that it switches off.
        type: list
        elements: str
        required: true
  node:
    description: The name of this node, which asks for the others only.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Check the fence device of the other node
  mailcluster.dovecot.fence_check:
    node: mail1
    devices:
      - name: mail2
        agent: fence_ipmilan
        options: {ip: 192.0.2.132, username: fence, password: "{{ bmc_password }}", lanplus: "1"}
        hosts: [mail2]
  no_log: true
"""

RETURN = r"""
checked:
  description: The devices that were asked.
  returned: success
  type: list
  elements: str
  sample: ["mail2"]
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.mailcluster.dovecot.plugins.module_utils import _main
from ansible_collections.mailcluster.dovecot.plugins.module_utils._errors import Failure
from ansible_collections.mailcluster.dovecot.plugins.module_utils._fencing import problem
from ansible_collections.mailcluster.dovecot.plugins.module_utils._types import Options, Result

OPTIONS: Options = {
    "devices": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            "name": {"type": "str", "required": True},
            "agent": {"type": "str", "required": True},
            "options": {"type": "dict", "default": {}},
            "hosts": {"type": "list", "elements": "str", "required": True},
        },
    },
    "node": {"type": "str", "required": True},
}


def work(module: AnsibleModule) -> Result:
    # its own device is the other node's to ask
    asked = [device for device in module.params["devices"] if device["hosts"] != [module.params["node"]]]
    found = [words for device in asked if (words := problem(module.run_command, device, ask=len(device["hosts"]) == 1))]
    if found:
        raise Failure("; ".join(found))
    return {"changed": False, "checked": [device["name"] for device in asked]}


def main() -> None:
    _main.main(work, OPTIONS)


if __name__ == "__main__":
    main()
