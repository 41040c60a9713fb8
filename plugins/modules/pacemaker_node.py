#!/usr/bin/python
# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: pacemaker_node
short_description: Take a node of an active/passive pair out of service, and put it back
description:
  - On standby, a node serves nothing and takes nothing over, until somebody puts it back, also after a restart.
version_added: 0.1.0
author: mailcluster.dovecot contributors (@mailcluster)
extends_documentation_fragment:
  - mailcluster.dovecot.attributes
  - mailcluster.dovecot.attributes.no_diff
  - mailcluster.dovecot.attributes.platform
  - mailcluster.dovecot.attributes.pacemaker
options:
  node:
    description: The node, by its host name.
    type: str
    required: true
  state:
    description: >-
      V(standby), V(online), or V(fenced) to have the cluster switch it off and on again, as it does with a node that hangs.
      V(fenced) is never idempotent.
    type: str
    choices: [standby, online, fenced]
    required: true
"""

EXAMPLES = r"""
- name: Take a node out of service
  mailcluster.dovecot.pacemaker_node:
    node: mail1
    state: standby
"""

RETURN = r"""
standby:
  description: Whether the node was on standby before.
  returned: success
  type: bool
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.mailcluster.dovecot.plugins.module_utils import _main
from ansible_collections.mailcluster.dovecot.plugins.module_utils._errors import Failure
from ansible_collections.mailcluster.dovecot.plugins.module_utils._pacemaker import call, read
from ansible_collections.mailcluster.dovecot.plugins.module_utils._types import Options, Result

OPTIONS: Options = {
    "node": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["standby", "online", "fenced"], "required": True},
}
VALUES = {"standby": "on", "online": "off"}


def work(module: AnsibleModule) -> Result:
    run, node, wanted = module.run_command, module.params["node"], module.params["state"]
    member = read(run, drbd=False)["nodes"].get(node)
    if member is None:
        raise Failure("node: '%s' is not in this cluster ('crm_node --list' shows who is)" % node)
    changed = wanted == "fenced" or member["standby"] != (wanted == "standby")
    if changed and not module.check_mode:
        if wanted == "fenced":
            call(run, "stonith_admin", "--reboot", node, "--timeout", "120")
        else:
            call(run, "crm_attribute", "--node", node, "--name", "standby", "--update", VALUES[wanted], "--lifetime", "forever")
    return {"changed": changed, "standby": member["standby"]}


def main() -> None:
    _main.main(work, OPTIONS)


if __name__ == "__main__":
    main()
