#!/usr/bin/python
# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: mail_device
short_description: Make the storage of an active/passive pair, on devices that are empty
description:
  - Makes DRBD's metadata and a file system only where a device has no signature at all, neither a file system, nor a partition
    table, nor metadata of LVM, RAID or DRBD. Anything else is refused.
  - What was made is noted in C(/var/lib/mailcluster-dovecot/device.json). A second run changes nothing, and one that was
    interrupted is continued.
  - The steps are taken one after the other by both nodes, O(step=format) by the first only.
version_added: 0.1.0
author: mailcluster.dovecot contributors (@mailcluster)
extends_documentation_fragment:
  - mailcluster.dovecot.attributes
  - mailcluster.dovecot.attributes.no_diff
  - mailcluster.dovecot.attributes.platform
options:
  step:
    description:
      - V(attach) makes DRBD's metadata.
      - V(format) makes the file system, and with DRBD this node's data the valid ones, if neither node has ever had any.
      - V(finish) leaves the device to Pacemaker.
    type: str
    choices: [attach, format, finish]
    required: true
  storage:
    description: V(drbd) or V(lun).
    type: str
    choices: [drbd, lun]
    required: true
  device:
    description: The volume or the LUN.
    type: path
    required: true
  resource:
    description: The name of DRBD's resource, which is configured already.
    type: str
    default: mail
  filesystem:
    description: The file system to make.
    type: str
    choices: [ext4, xfs]
    default: ext4
  existing:
    description: The UUID of a file system that is there already and is to be used. Empty, the device must be empty.
    type: str
    default: ""
  directory:
    description: Where the file system will be mounted.
    type: path
    required: true
  uid:
    description: The user who owns the mail.
    type: int
    required: true
  gid:
    description: That user's group.
    type: int
    required: true
  uuid:
    description: With O(step=finish), the UUID of the pair's file system, as O(step=format) returned it.
    type: str
    default: ""
"""

EXAMPLES = r"""
- name: Make the file system on a LUN
  mailcluster.dovecot.mail_device:
    step: format
    storage: lun
    device: /dev/disk/by-id/wwn-0x5000c500a1b2c3d4
    directory: /var/vmail
    uid: 5000
    gid: 5000
"""

RETURN = r"""
made:
  description: What was made, or in check mode would be.
  returned: success
  type: list
  elements: str
  sample: ["metadata of DRBD on /dev/vg0/mail"]
filesystem:
  description: The UUID of the file system, empty if there is none yet.
  returned: success
  type: str
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.mailcluster.dovecot.plugins.module_utils import _main
from ansible_collections.mailcluster.dovecot.plugins.module_utils._mail_device import MailDevice
from ansible_collections.mailcluster.dovecot.plugins.module_utils._types import Options, Result

OPTIONS: Options = {
    "step": {"type": "str", "choices": ["attach", "format", "finish"], "required": True},
    "storage": {"type": "str", "choices": ["drbd", "lun"], "required": True},
    "device": {"type": "path", "required": True},
    "resource": {"type": "str", "default": "mail"},
    "filesystem": {"type": "str", "choices": ["ext4", "xfs"], "default": "ext4"},
    "existing": {"type": "str", "default": ""},
    "directory": {"type": "path", "required": True},
    "uid": {"type": "int", "required": True},
    "gid": {"type": "int", "required": True},
    "uuid": {"type": "str", "default": ""},
}


def work(module: AnsibleModule) -> Result:
    return MailDevice(module.params, module.run_command, module.check_mode)()


def main() -> None:
    _main.main(work, OPTIONS)


if __name__ == "__main__":
    main()
