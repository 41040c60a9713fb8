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
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: full
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
    choices: [dovecot_doveadm_password, dovecot_proxy_master_password]
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
  description: Those of O(units) that are not active or not enabled.
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
missing_packages:
  description: Those of O(packages) that are not installed.
  returned: always
  type: list
  elements: str
"""

import os
import socket
import time

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.mailcluster.dovecot.plugins.module_utils import _main
from ansible_collections.mailcluster.dovecot.plugins.module_utils._errors import Failure
from ansible_collections.mailcluster.dovecot.plugins.module_utils._mounts import mounted_at
from ansible_collections.mailcluster.dovecot.plugins.module_utils._node import (
    DEPLOYED,
    FILLING,
    account,
    candidate_version,
    certificate,
    deployed,
    digest,
    first_line,
    installed_versions,
    interface_addresses,
    kernel,
    mounted_by_hand,
    parse_os_release,
    space,
    states,
    upstream_version,
    version_of_release,
)
from ansible_collections.mailcluster.dovecot.plugins.module_utils._types import Options, Result

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
}


def work(module: AnsibleModule) -> Result:
    module.run_command_environ_update = {"LC_ALL": "C"}
    wanted = module.params["packages"]
    try:
        with open("/etc/os-release", encoding="utf-8") as stream:
            os_release = parse_os_release(stream.read())
    except OSError as error:
        raise Failure("cannot read /etc/os-release (%s): only the Debian family is supported" % error) from error
    if not module.get_bin_path("dpkg-query"):
        raise Failure("%s has no dpkg: only the Debian family is supported" % os_release.get("PRETTY_NAME"))
    rc, listing, stderr = module.run_command(["ip", "-json", "address"])
    if rc != 0:
        raise Failure("'ip -json address' failed (%s): install iproute2" % stderr.strip())

    installed = installed_versions(module, sorted(set(wanted) | {"dovecot-core"}))
    version = upstream_version(installed.get("dovecot-core"))
    addresses = interface_addresses(listing)
    interfaces = {address: interface for interface, address in addresses}
    units = states(module, module.params["units"])
    mail_home = module.params["mail_home"] or os.devnull
    with open("/proc/self/mountinfo", encoding="utf-8") as stream:
        mountinfo = stream.read()
    export = module.params["export"]
    return {
        "changed": False,
        "dovecot_version": version or candidate_version(module) or version_of_release(os_release),
        "distribution": os_release.get("PRETTY_NAME", "unknown"),
        "hostname": socket.gethostname(),
        "address": module.params["address"],
        "address_interface": interfaces.get(module.params["address"]),
        "addresses": [address for _interface, address in addresses],
        "certificate": certificate(module, module.params["certificate"]),
        "clock": time.time(),
        "cores": len(os.sched_getaffinity(0)),
        "has_mail": not mounted_at(mountinfo, mail_home) and any(files for _folder, _folders, files in os.walk(mail_home)),
        "kernel": kernel(module.params["kernel"]),
        "mail_account": account(module.params["mail_user"] or ""),
        "mounted_by_hand": mounted_by_hand(module, mountinfo, export) if export else None,
        "holds_vip": module.params["vip"] in interfaces,
        "filling": first_line(FILLING),
        "idle_units": [name for name, state in units.items() if state != ("active", "enabled")],
        "inactive_units": [name for name, (active, _file) in units.items() if active != "active"],
        "secrets": {name: digest(module.params["nonce"] or "", deployed(name)) for name in module.params["secrets"]},
        "space": space(),
        "missing_packages": [package for package in wanted if package not in installed],
    }


def main() -> None:
    _main.main(work, OPTIONS)


if __name__ == "__main__":
    main()
