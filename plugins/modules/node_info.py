#!/usr/bin/python
# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: node_info
short_description: What a deployment must know of a node, in one read
description:
  - Reads the Dovecot version that is installed or would be, the packages that are missing, the host name, and which
    interface has the node's address.
  - Takes the place of fact gathering, at a fraction of its time.
version_added: 0.1.0
author: mailcluster.dovecot contributors (@mailcluster)
extends_documentation_fragment:
  - mailcluster.dovecot.attributes
  - mailcluster.dovecot.attributes.no_diff
options:
  address:
    description: The node's address inside the cluster.
    type: str
    required: true
  vip:
    description: The service address, to tell whether this node holds it.
    type: str
  mail_home:
    description: Where the users' mail is, to tell whether there is any.
    type: path
  mail_user:
    description: The name of the mail user, to tell whether there is one and with which numbers.
    type: str
  export:
    description: The folder that the node exports by NFS, to tell whether its file system is mounted again after a restart.
    type: path
  certificate:
    description: The file with the certificate that clients see, to tell when it expires.
    type: path
  kernel:
    description: Settings of the kernel that are to be read.
    type: list
    elements: str
    default: []
  nonce:
    description: The key with which secrets are digested, another in each run.
    type: str
  secrets:
    description: Variables whose deployed values are to be compared.
    type: list
    elements: str
    choices: [dovecot_doveadm_password, dovecot_proxy_master_password, dovecot_active_passive_secret]
    default: []
  packages:
    description: Debian packages that the node needs.
    type: list
    elements: str
    default: []
  units:
    description: systemd units that are to be active and enabled.
    type: list
    elements: str
    default: []
  started_by_cluster:
    description: Those of O(units) that a cluster manager starts, which are to be disabled, and active or not.
    type: list
    elements: str
    default: []
  started_by_unit:
    description: Those of O(units) that another unit starts, which are to be enabled, and active or not.
    type: list
    elements: str
    default: []
  device:
    description: The block device of an active/passive pair, to tell what is on it and who uses it.
    type: path
  fence_disks:
    description: The disks by which the nodes of the pair fence each other, to tell whether they are initialised.
    type: list
    elements: path
    default: []
  watchdog:
    description: The watchdog's device, to tell whether there is one.
    type: path
"""

EXAMPLES = r"""
- name: Read the node
  mailcluster.dovecot.node_info:
    address: 198.51.100.31
    packages: [dovecot-core, dovecot-imapd]
  register: node
"""

RETURN = r"""
dovecot_version:
  description: Version of the installed dovecot-core, else of the one that would be installed; null when unknown.
  returned: always
  type: str
  sample: 2.3.19.1
distribution:
  description: Name and version of the distribution.
  returned: always
  type: str
  sample: Debian GNU/Linux 12 (bookworm)
hostname:
  description: The node's own host name.
  returned: always
  type: str
  sample: a1
address:
  description: The address asked for.
  returned: always
  type: str
  sample: 198.51.100.31
address_interface:
  description: The interface that has O(address); null when none has.
  returned: always
  type: str
  sample: eth0
addresses:
  description: All addresses of the node but loopback and link-local ones.
  returned: always
  type: list
  elements: str
  sample: ["198.51.100.31"]
config:
  description:
    - The files that M(mailcluster.dovecot.config) manages, with digests (HMAC with SHA-256, keyed with O(nonce)) of their
      contents, and whether some of them are not in force yet. Null without O(nonce), or if the record cannot be read.
  returned: always
  type: dict
holds_vip:
  description: Whether the node has O(vip) now.
  returned: always
  type: bool
mail_account:
  description: The numbers of O(mail_user), C(uid) and C(gid); null when there is no such user yet.
  returned: always
  type: dict
  sample: {"uid": 5000, "gid": 5000}
mounted_by_hand:
  description:
    - Where the file system with O(export) is mounted, when the machine does not mount it when it starts, since neither
      C(/etc/fstab) nor a unit has it; null otherwise.
  returned: always
  type: str
  sample: /srv
certificate:
  description:
    - Of O(certificate), C(file), C(until) (the day on which it expires) and C(days) (until then; below 0 when it has expired).
      Null when there is no certificate in it, or no such file.
  returned: always
  type: dict
  sample: {"file": "/etc/dovecot/tls/cert.pem", "until": "2027-11-27", "days": 364}
clock:
  description: The node's clock, in seconds since 1970.
  returned: always
  type: float
has_mail:
  description:
    - Whether there is a file anywhere below O(mail_home). Where a file system is mounted at it, nobody looks, since its server
      may not answer, and this is false.
  returned: always
  type: bool
cores:
  description: The number of processor cores that the node may use.
  returned: always
  type: int
  sample: 4
kernel:
  description:
    - Each of O(kernel) that this kernel knows, with its C(value), and C(ours), whether the collection's file sets it.
  returned: always
  type: dict
  sample: {"net.core.somaxconn": {"value": "4096", "ours": false}}
filling:
  description:
    - What the playbook that fills a node from its partner has noted. V(filling), mail of the partner is missing here;
      V(filled), all is here, and the node is yet to become one like the other; null, the node is not being filled.
  returned: always
  type: str
idle_units:
  description: Those of O(units) that are not active or not enabled, as they are to be.
  returned: always
  type: list
  elements: str
inactive_units:
  description: Those of O(units) that are not active.
  returned: always
  type: list
  elements: str
secrets:
  description:
    - Each of O(secrets) to a digest (HMAC with SHA-256, keyed with O(nonce)) of the value that is deployed; null when there is
      none yet.
  returned: always
  type: dict
space:
  description:
    - Of the disk with a backend's mail, C(free) and C(total) bytes, the C(reserve) in bytes, whether no mail is taken
      (C(low)), and the day on which it is full at the rate of the last two weeks (C(full_on)), null when it does not fill.
      As the backend itself has noted it within the last minute. Null on other nodes.
  returned: always
  type: dict
  sample: {"free": 81604378624, "total": 270582939648, "reserve": 1073741824, "low": false, "full_on": "2027-08-14"}
device:
  description:
    - Of O(device), C(block) (whether there is such a block device), its C(size) in bytes, C(uses) (who uses it, in words), its
      C(signatures) (each a C(type) and a C(uuid)), and whether it was made by M(mailcluster.dovecot.mail_device) (C(ours)), to
      the end
      (C(ready)), with which C(filesystem). Null without O(device).
  returned: always
  type: dict
missing_packages:
  description: Those of O(packages) that are not installed.
  returned: always
  type: list
  elements: str
"""

from ansible_collections.mailcluster.dovecot.plugins.module_utils import _main
from ansible_collections.mailcluster.dovecot.plugins.module_utils._node import DEPLOYED
from ansible_collections.mailcluster.dovecot.plugins.module_utils._node_info import work
from ansible_collections.mailcluster.dovecot.plugins.module_utils._types import Options

OPTIONS: Options = {
    "address": {"type": "str", "required": True},
    "vip": {"type": "str"},
    "mail_home": {"type": "path"},
    "mail_user": {"type": "str"},
    "export": {"type": "path"},
    "certificate": {"type": "path"},
    "kernel": {"type": "list", "elements": "str", "default": []},
    "nonce": {"type": "str", "no_log": True},
    "secrets": {"type": "list", "elements": "str", "choices": list(DEPLOYED), "default": [], "no_log": False},
    "packages": {"type": "list", "elements": "str", "default": []},
    "units": {"type": "list", "elements": "str", "default": []},
    "started_by_cluster": {"type": "list", "elements": "str", "default": []},
    "started_by_unit": {"type": "list", "elements": "str", "default": []},
    "device": {"type": "path"},
    "fence_disks": {"type": "list", "elements": "path", "default": []},
    "watchdog": {"type": "path"},
}


def main() -> None:
    _main.main(work, OPTIONS)


if __name__ == "__main__":
    main()
