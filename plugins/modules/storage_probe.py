#!/usr/bin/python
# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: storage_probe
short_description: Proves that storage is mounted as declared, and that the nodes see each other's files and locks there
version_added: 0.1.0
description:
  - Is called on all nodes that share the storage, first with O(state=held), then with O(state=seen), and at the end with
    O(state=released).
  - V(held), looks at the mount, its options in force and its owner, writes a file of this node as the mail user, compares the
    clock with the file server's, and locks the file in the background.
  - V(seen), finds the files of the O(others) and that they are locked.
  - V(released), ends the lock and removes the file. Both happen by themselves two minutes after V(held).
  - Fails with all that is wrong, each with its remedy. Storage that does not answer is a failure too, and no endless waiting.
extends_documentation_fragment:
  - mailcluster.dovecot.attributes
  - mailcluster.dovecot.attributes.no_diff
  - mailcluster.dovecot.attributes.platform
options:
  state:
    description: What this call is to do.
    type: str
    choices: [held, seen, released]
    required: true
  path:
    description: Where the storage is mounted.
    type: path
    required: true
  unit:
    description: The systemd unit that mounts it.
    type: str
    required: true
  filesystem:
    description: The kernel's name of the file system, as C(nfs4) or C(fuse.glusterfs).
    type: str
    required: true
  source:
    description: What is mounted, as the mount unit says it.
    type: str
    required: true
  options:
    description: Mount options that must be in force. Those that the kernel does not show are passed over.
    type: list
    elements: str
    default: []
  uid:
    description: User id of the mail user, to whom the storage must belong.
    type: int
    required: true
  gid:
    description: Group id of the mail user.
    type: int
    required: true
  lock:
    description: The kind of lock that Dovecot will use.
    type: str
    choices: [fcntl, flock]
    default: fcntl
  name:
    description: This node's name.
    type: str
    required: true
  run:
    description: A word that is the same on all nodes in one run and differs between runs.
    type: str
    required: true
  others:
    description: Names of the nodes whose files must be seen.
    type: list
    elements: str
    default: []
  max_clock_difference:
    description: Seconds by which the clock may differ from that of an NFS server.
    type: float
    default: 1
  timeout:
    description: Seconds that the storage may take to answer.
    type: int
    default: 60
author:
  - mailcluster.dovecot contributors (@mailcluster)
"""

EXAMPLES = r"""
- name: Prove the storage
  module_defaults:
    mailcluster.dovecot.storage_probe:
      path: /var/vmail
      unit: var-vmail.mount
      filesystem: nfs4
      source: nfs.example.org:/srv/mail
      options: [hard, noatime]
      uid: 5000
      gid: 5000
      name: "{{ inventory_hostname }}"
      run: "{{ run }}"
  block:
    - name: Hold a lock on each node
      mailcluster.dovecot.storage_probe:
        state: held

    - name: Each node sees the others' locks
      mailcluster.dovecot.storage_probe:
        state: seen
        others: "{{ ansible_play_hosts | difference([inventory_hostname]) }}"

    - name: End the locks
      mailcluster.dovecot.storage_probe:
        state: released
"""

RETURN = r"""
mount:
  description: What is mounted.
  returned: success, with O(state=held)
  type: dict
  contains:
    source:
      description: What is mounted.
      type: str
    filesystem:
      description: The kernel's name of the file system.
      type: str
    options:
      description: The options in force.
      type: list
      elements: str
clock_difference:
  description: Seconds by which this node's clock is ahead of the NFS server's; null for other file systems.
  returned: success, with O(state=held)
  type: float
"""

from ansible_collections.mailcluster.dovecot.plugins.module_utils import _main
from ansible_collections.mailcluster.dovecot.plugins.module_utils._storage_probe import work
from ansible_collections.mailcluster.dovecot.plugins.module_utils._types import Options

ARGUMENTS: Options = {
    "state": {"type": "str", "required": True, "choices": ["held", "seen", "released"]},
    "path": {"type": "path", "required": True},
    "unit": {"type": "str", "required": True},
    "filesystem": {"type": "str", "required": True},
    "source": {"type": "str", "required": True},
    "options": {"type": "list", "elements": "str", "default": []},
    "uid": {"type": "int", "required": True},
    "gid": {"type": "int", "required": True},
    "lock": {"type": "str", "choices": ["fcntl", "flock"], "default": "fcntl"},
    "name": {"type": "str", "required": True},
    "run": {"type": "str", "required": True},
    "others": {"type": "list", "elements": "str", "default": []},
    "max_clock_difference": {"type": "float", "default": 1},
    "timeout": {"type": "int", "default": 60},
}


def main() -> None:
    _main.main(work, ARGUMENTS)


if __name__ == "__main__":
    main()
