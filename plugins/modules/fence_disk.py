#!/usr/bin/python
# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: fence_disk
short_description: Initialise the disks by which two nodes fence each other with sbd
description:
  - Writes the header of sbd on disks that are empty. Those that have one already are left as they are. What has anything else is
    refused.
version_added: 0.1.0
author: mailcluster.dovecot contributors (@mailcluster)
extends_documentation_fragment:
  - mailcluster.dovecot.attributes
  - mailcluster.dovecot.attributes.no_diff
  - mailcluster.dovecot.attributes.platform
options:
  disks:
    description: The disks, which both nodes see.
    type: list
    elements: path
    required: true
  watchdog_timeout:
    description: >-
      Seconds after which the watchdog resets a node that no longer answers. Twice as long after a message was written, the node
      counts as reset.
    type: int
    required: true
  uuids:
    description: >-
      The headers' UUIDs, as the other node has found them. Then nothing is written, and a disk with another one is refused, since
      it is another disk. Empty, the disks are initialised.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: Initialise the disk
  mailcluster.dovecot.fence_disk:
    disks: [/dev/disk/by-id/wwn-0x5000c500a1b2c3d5]
    watchdog_timeout: 10
"""

RETURN = r"""
made:
  description: The disks that were initialised, or in check mode would be.
  returned: success
  type: list
  elements: str
  sample: ["/dev/disk/by-id/wwn-0x5000c500a1b2c3d5"]
uuids:
  description: The UUIDs of the headers, in the order of O(disks). Empty in check mode, as long as a disk has none.
  returned: success
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.mailcluster.dovecot.plugins.module_utils import _block_device, _main, _sbd
from ansible_collections.mailcluster.dovecot.plugins.module_utils._errors import Failure
from ansible_collections.mailcluster.dovecot.plugins.module_utils._types import Options, Result

OPTIONS: Options = {
    "disks": {"type": "list", "elements": "path", "required": True},
    "watchdog_timeout": {"type": "int", "required": True},
    "uuids": {"type": "list", "elements": "str", "default": []},
}


def work(module: AnsibleModule) -> Result:
    disks, wanted, run = module.params["disks"], module.params["uuids"], module.run_command
    found = [_block_device.read_fence_disk(run, disk) for disk in disks]
    for disk in found:
        if not disk["blank"] and not disk["header"]:
            raise Failure("%s %s: nothing was made" % (disk["path"], disk["found"] or "is no block device"))
    new = [disk["path"] for disk in found if not disk["header"]]
    if new and not wanted and not module.check_mode:
        _block_device.call(run, *_sbd.command(new, module.params["watchdog_timeout"]))
    headers = [_sbd.header(disk) for disk in disks]
    uuids = [header["uuid"] for header in headers if header]
    if wanted and uuids != wanted:
        raise Failure(
            "%s of this node %s not those that the other node has initialised: give both nodes the same"
            % (", ".join(disks), "is" if len(disks) == 1 else "are")
        )
    return {"changed": bool(new), "made": new, "uuids": uuids if len(uuids) == len(disks) else []}


def main() -> None:
    _main.main(work, OPTIONS)


if __name__ == "__main__":
    main()
