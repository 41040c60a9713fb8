#!/usr/bin/python
# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: pacemaker_info
short_description: Read an active/passive pair
description:
  - Which node serves, the state of nodes, resources and fence devices, what failed, and how far DRBD's two copies agree.
version_added: 0.1.0
author: mailcluster.dovecot contributors (@mailcluster)
extends_documentation_fragment:
  - mailcluster.dovecot.attributes
  - mailcluster.dovecot.attributes.no_diff
  - mailcluster.dovecot.attributes.platform
  - mailcluster.dovecot.attributes.pacemaker
options:
  nodes:
    description: The names of the pair's nodes, to tell what is wrong.
    type: list
    elements: str
    default: []
  drbd:
    description: Whether the pair has DRBD.
    type: bool
    default: true
  fencing:
    description: Whether the pair has fence devices.
    type: bool
    default: true
  wait:
    description:
      - Waits until a node serves (V(active)), or until in addition both nodes are in the cluster and both copies of the mail are
        complete (V(whole)).
    type: str
    choices: ["no", active, whole]
    default: "no"
  other_than:
    description: With O(wait), a node that may not be the active one.
    type: str
  timeout:
    description: Seconds to wait.
    type: int
    default: 300
"""

EXAMPLES = r"""
- name: Wait until the pair serves
  mailcluster.dovecot.pacemaker_info:
    nodes: [mail1, mail2]
    wait: active
"""

RETURN = r"""
active:
  description: The node that serves; null when none does.
  returned: success
  type: str
  sample: mail1
problems:
  description: What is not as it should be, in sentences.
  returned: success
  type: list
  elements: str
notices:
  description: What has failed before, and how to clear it.
  returned: success
  type: list
  elements: str
nodes:
  description: Node to C(online), C(standby), C(maintenance), C(unclean), C(pending).
  returned: success
  type: dict
resources:
  description: C(id), C(role), C(node), C(failed), C(managed).
  returned: success
  type: list
  elements: dict
failed_actions:
  description: C(resource), C(action), C(node), C(reason), C(at).
  returned: success
  type: list
  elements: dict
fencing_actions:
  description: When a node was switched off or on, C(action), C(target), C(status), C(completed).
  returned: success
  type: list
  elements: dict
fencing:
  description: Whether Pacemaker switches nodes off.
  returned: success
  type: bool
quorum:
  description: Whether the node's part of the cluster may act.
  returned: success
  type: bool
coordinator:
  description: The node that decides.
  returned: success
  type: str
maintenance:
  description: Whether Pacemaker leaves all alone.
  returned: success
  type: bool
drbd:
  description:
    - C(connection), C(role), C(peer_role), C(disk), C(peer_disk), C(out_of_sync) in KiB, and C(synchronised) in percent while
      data
      are copied; null without DRBD.
  returned: success
  type: dict
"""

import time

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.mailcluster.dovecot.plugins.module_utils import _main
from ansible_collections.mailcluster.dovecot.plugins.module_utils._errors import Failure
from ansible_collections.mailcluster.dovecot.plugins.module_utils._pacemaker import (
    NotRunning,
    State,
    is_whole,
    notices,
    problems,
    read,
)
from ansible_collections.mailcluster.dovecot.plugins.module_utils._types import Options, Result

OPTIONS: Options = {
    "nodes": {"type": "list", "elements": "str", "default": []},
    "drbd": {"type": "bool", "default": True},
    "fencing": {"type": "bool", "default": True},
    "wait": {"type": "str", "choices": ["no", "active", "whole"], "default": "no"},
    "other_than": {"type": "str"},
    "timeout": {"type": "int", "default": 300},
}
POLL = 1.0  # seconds between two looks
# On a slow node, which Pacemaker keeps busy meanwhile, a look is followed by a rest of so many times its own time.
REST = 2


def reached(state: State, module: AnsibleModule) -> bool:
    wait, other = module.params["wait"], module.params["other_than"]
    if wait == "no":
        return True
    there = state["active"] is not None and state["active"] != other
    return there and (wait == "active" or is_whole(state, module.params["nodes"]))


def work(module: AnsibleModule) -> Result:
    end = time.monotonic() + module.params["timeout"]
    expected = {name: module.params[name] for name in ("nodes", "fencing")}
    words = ""
    while True:
        began = time.monotonic()
        try:
            state = read(module.run_command, module.params["drbd"])
            if reached(state, module):
                return {"changed": False, "problems": problems(state, expected), "notices": notices(state), **state}
            words = "; ".join(problems(state, expected)) or "%s serves" % state["active"]
        except NotRunning as error:
            if module.params["wait"] == "no":
                raise
            words = error.message
        if time.monotonic() >= end:
            raise Failure("after %d s: %s" % (module.params["timeout"], words))
        time.sleep(max(POLL, REST * (time.monotonic() - began)))


def main() -> None:
    _main.main(work, OPTIONS)


if __name__ == "__main__":
    main()
