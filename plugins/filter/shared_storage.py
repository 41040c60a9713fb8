# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: shared_storage
short_description: Shared storage as a backend needs it - its mount, and Dovecot's settings
description:
  - Completes what is declared of the storage with what is recommended for its type, with or without directors.
version_added: 0.1.0
author: mailcluster.dovecot contributors (@mailcluster)
positional: has_directors
options:
  _input:
    description:
      - What is declared, C(type), C(path), C(mail_location), and optionally C(mount_options), C(lock_method), C(index_dir) and
        C(volatile_dir).
    type: dict
    required: true
  has_directors:
    description: Whether directors send each user to one backend.
    type: bool
    required: true
"""

EXAMPLES = r"""
- name: Show how NFS would be mounted behind directors
  ansible.builtin.debug:
    msg: "{{ ({'type': 'nfs', 'path': '/var/vmail', 'mail_location': 'sdbox:~/sdbox'}
      | mailcluster.dovecot.shared_storage(true)).options }}"
"""

RETURN = r"""
_value:
  description:
    - C(unit), the systemd unit that mounts it; C(mount_type), as C(mount) takes it; C(filesystem), as the kernel calls it;
      C(options) of the mount; C(needs), the unit of a cluster stack that must run before; C(settings) of Dovecot;
      C(mail_location); C(lock_method).
  type: dict
  sample: {"unit": "var-vmail.mount", "mount_type": "nfs4", "filesystem": "nfs4", "options": ["nfsvers=4.2", "hard"], "needs": "",
           "settings": {"mmap_disable": "yes"}, "mail_location": "sdbox:~/sdbox", "lock_method": "fcntl"}
"""

import re
from collections.abc import Callable
from typing import TypedDict

from ansible_collections.mailcluster.dovecot.plugins.plugin_utils import _storage


class SharedStorage(TypedDict):
    unit: str
    mount_type: str
    filesystem: str
    options: list[str]
    needs: str
    settings: dict[str, str]
    mail_location: str
    lock_method: str


def mount_unit(path: str) -> str:
    """The name that systemd wants for the unit of a mount point."""
    words = [
        re.sub(r"[^A-Za-z0-9:_.]", lambda match: f"\\x{ord(match.group()):02x}", word) for word in path.strip("/").split("/")
    ]
    return "-".join(words) + ".mount"


def shared_storage(declared: _storage.Mount, has_directors: bool) -> SharedStorage:
    kind, method = declared["type"], declared.get("lock_method")
    return {
        "unit": mount_unit(declared["path"]),
        "mount_type": _storage.MOUNT_TYPES[kind],
        "filesystem": _storage.FILESYSTEMS[kind],
        "options": declared.get("mount_options") or _storage.mount_options(kind, has_directors),
        "needs": _storage.STACKS.get(kind, ""),
        "settings": _storage.settings(kind, has_directors, method),
        "mail_location": _storage.mail_location(
            declared["mail_location"], declared.get("index_dir", ""), declared.get("volatile_dir", "")
        ),
        "lock_method": method or _storage.lock_method(kind),
    }


class FilterModule:
    def filters(self) -> dict[str, Callable[..., object]]:
        return {"shared_storage": shared_storage}
