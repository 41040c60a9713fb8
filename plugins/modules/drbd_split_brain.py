#!/usr/bin/python
# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: drbd_split_brain
short_description: Look at one side of a split brain of DRBD, or give it up
description:
  - In a split brain, both nodes of an active/passive pair have written to their copy of the mail while they did not reach each
    other. DRBD does not connect until one of the two copies is given up.
version_added: 0.1.0
author: mailcluster.dovecot contributors (@mailcluster)
extends_documentation_fragment:
  - mailcluster.dovecot.attributes
  - mailcluster.dovecot.attributes.no_diff
  - mailcluster.dovecot.attributes.platform
options:
  step:
    description:
      - V(look) only reads the state of this side.
      - V(discard) gives this node's copy up. Before, what has changed in it since the nodes lost each other is copied to
        O(keep_in). Pacemaker must have put the node on standby.
      - V(connect) lets the node that is kept connect again.
    type: str
    choices: [look, discard, connect]
    required: true
  resource:
    description: The name of DRBD's resource.
    type: str
    default: mail
  device:
    description: The volume below DRBD. Required with O(step=discard).
    type: path
  filesystem:
    description: The file system on it.
    type: str
    choices: [ext4, xfs]
    default: xfs
  keep_in:
    description: The folder for the copy, on another file system. Empty, nothing is kept.
    type: str
    default: /var/lib/mailcluster-dovecot/split-brain
  since:
    description: Only files that have changed since then are copied, in seconds since the epoch. V(0) copies all files.
    type: float
    default: 0
"""

EXAMPLES = r"""
- name: Give up what this node has written alone
  mailcluster.dovecot.drbd_split_brain:
    step: discard
    device: /dev/vg0/mail
"""

RETURN = r"""
connection:
  description: DRBD's connection, as C(StandAlone) or C(Connected).
  returned: with O(step=look)
  type: str
role:
  description: C(Primary), C(Secondary), or C(Unknown) while DRBD is not started.
  returned: with O(step=look)
  type: str
lost:
  description: When this node lost the other one, in seconds since the epoch; V(0) if its journal does not tell.
  returned: with O(step=look)
  type: float
wrote:
  description: When this node could write since then, in words; empty if its journal does not tell.
  returned: with O(step=look)
  type: str
  sample: "since 2026-05-04 03:02:01"
kept:
  description: The folder with the files that were put aside.
  returned: with O(step=discard), if something was done
  type: str
files:
  description: How many files are there.
  returned: with O(step=discard), if something was done
  type: int
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.mailcluster.dovecot.plugins.module_utils import _main
from ansible_collections.mailcluster.dovecot.plugins.module_utils._split_brain import Copy, connected, look
from ansible_collections.mailcluster.dovecot.plugins.module_utils._types import Options, Result

OPTIONS: Options = {
    "step": {"type": "str", "choices": ["look", "discard", "connect"], "required": True},
    "resource": {"type": "str", "default": "mail"},
    "device": {"type": "path"},
    "filesystem": {"type": "str", "choices": ["ext4", "xfs"], "default": "xfs"},
    "keep_in": {"type": "str", "default": "/var/lib/mailcluster-dovecot/split-brain"},
    "since": {"type": "float", "default": 0},
}


def work(module: AnsibleModule) -> Result:
    run, params = module.run_command, module.params
    side = look(run)
    if params["step"] == "look":
        return {"changed": False, **side}
    if connected(side["connection"]):
        return {"changed": False}
    copy = Copy(run, params["resource"], params["device"], params["filesystem"])
    if params["step"] == "discard":
        kept = {"kept": "", "files": 0} if module.check_mode else copy.discard(params["keep_in"], params["since"])
        return {"changed": True, **kept}
    changed = side["connection"] == "StandAlone"
    if changed and not module.check_mode:
        copy.connect()
    return {"changed": changed}


def main() -> None:
    _main.main(work, OPTIONS, required_if=[("step", "discard", ("device",))])


if __name__ == "__main__":
    main()
