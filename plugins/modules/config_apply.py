#!/usr/bin/python
# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: config_apply
short_description: Activates installed configuration files, or restores the previous ones
version_added: 0.1.0
description:
  - Enables and starts the units, and makes every unit pick up the files that M(mailcluster.dovecot.config) has changed
    for it. Units are reloaded, and restarted only where they cannot reload or where their own definition has changed,
    unless M(mailcluster.dovecot.config) was told that no unit has to pick that file up.
  - Then the services of these units are tested as a client would use them, because Dovecot may start but serve nobody.
    The test goes up to the greeting, with TLS where clients use it. The certificate is not verified.
  - If a unit does not come up with the new files, does not listen on its ports, or does not serve, the previous files of
    all roles are restored, the units pick those up, and the module fails with what it saw and what the unit's journal
    says.
  - Runs C(systemd-sysusers), C(systemd-tmpfiles) and C(systemctl daemon-reload) where a changed file needs it,
    and stops and disables units whose definition was removed, or that are not in O(units) and have lost the last file
    that M(mailcluster.dovecot.config) had installed for them.
  - If there is nothing to do, it costs one call of C(systemctl show), and nothing is tested.
extends_documentation_fragment:
  - mailcluster.dovecot.attributes
  - mailcluster.dovecot.attributes.no_diff
  - mailcluster.dovecot.attributes.platform
attributes:
  diff_mode:
    details: The difference in the files is shown by M(mailcluster.dovecot.config).
options:
  units:
    description:
      - The units that this node needs. They are handled in this order.
      - Units that are recorded for changed files, but not listed here, pick them up first if they are active.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: The name of the unit, with its suffix.
        type: str
        required: true
      ports:
        description: The TCP ports on which something must listen once the unit has the files.
        type: list
        elements: int
        default: []
      services:
        description:
          - The ports, by service, on which clients must be served once the unit has the files.
          - The services are V(imap), V(pop3) and V(sieve), tried with STARTTLS, V(imaps) and V(pop3s) with TLS from the
            start, and V(lmtp) without.
          - A slow service has O(timeout) to answer. A wrong answer, or a connection that is refused or cut, is final if it
            is still the same after 5 seconds.
        type: dict
        default: {}
      proxy_protocol_services:
        description:
          - The same as O(units[].services), for listeners that expect a header of the PROXY protocol. They are sent one of
            version 2 that says LOCAL.
          - Dovecot closes the connection when O(units[].address) is not in its C(haproxy_trusted_networks).
        type: dict
        default: {}
      address:
        description: Where the services are tried, an address of this node.
        type: str
        default: 127.0.0.1
      action:
        description: How an active unit picks up changed files.
        type: str
        choices: [reload, restart]
        default: reload
      started_by:
        description:
          - Who starts the unit. V(systemd) is told to by this module, and does so after a restart of the node.
          - V(cluster) is a cluster manager such as Pacemaker. The unit is neither started nor enabled here, and an active one
            picks up
            changed files.
          - V(unit) is another unit that wants it. It is enabled, and not started here.
        type: str
        choices: [systemd, cluster, unit]
        default: systemd
  ring:
    description:
      - Whether this node is a director. Then an active C(dovecot.service) picks files up only while the ring is in
        sync, and the module ends when it is in sync again and this director reaches all of its sessions again.
      - Nothing is waited for on the first start, because the other directors may not be up yet.
    type: bool
    default: false
  timeout:
    description: Seconds to wait for units, their ports and their services, and for the ring.
    type: int
    default: 60
  state_dir:
    description: The same as for M(mailcluster.dovecot.config).
    type: str
    default: /var/lib/mailcluster-dovecot
seealso:
  - module: mailcluster.dovecot.config
author:
  - mailcluster.dovecot contributors (@mailcluster)
"""

EXAMPLES = r"""
- name: Put the configuration in force
  mailcluster.dovecot.config_apply:
    units:
      - name: dovecot.service
        ports: [12345]
        services: {imap: 143, imaps: 993, lmtp: 24}
        address: 198.51.100.31
      - {name: mailcluster-dovecot-purge.timer}

- name: Put the configuration of a director in force, without leaving the ring
  mailcluster.dovecot.config_apply:
    units:
      - name: dovecot.service
        ports: [9090]
        services: {imap: 143, imaps: 993, lmtp: 24}
        proxy_protocol_services: {imap: 10143, imaps: 10993, lmtp: 10024}
        address: 198.51.100.21
    ring: true
    timeout: 90
"""

RETURN = r"""
reloaded:
  description: The units that were reloaded.
  returned: always
  type: list
  elements: str
  sample: [dovecot.service]
restarted:
  description: The units that were restarted.
  returned: always
  type: list
  elements: str
  sample: []
started:
  description: The units that were not active and were started.
  returned: always
  type: list
  elements: str
  sample: []
enabled:
  description: The units that were enabled.
  returned: always
  type: list
  elements: str
  sample: []
disabled:
  description: The units that were disabled because a cluster manager starts them.
  returned: always
  type: list
  elements: str
  sample: []
stopped:
  description: The units that were stopped and disabled because their files were removed.
  returned: always
  type: list
  elements: str
  sample: []
rolled_back:
  description: Whether the previous files were put back.
  returned: always
  type: bool
  sample: false
restored_files:
  description: The files that were put back.
  returned: when rolled back
  type: list
  elements: str
journal:
  description: The last lines of the journal of the unit that failed.
  returned: when a unit failed
  type: list
  elements: str
"""

import os

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.mailcluster.dovecot.plugins.module_utils import _main
from ansible_collections.mailcluster.dovecot.plugins.module_utils._config_apply import Apply
from ansible_collections.mailcluster.dovecot.plugins.module_utils._config_state import ConfigError
from ansible_collections.mailcluster.dovecot.plugins.module_utils._types import Options, Result

UNIT_SPEC: Options = {
    "name": {"type": "str", "required": True},
    "ports": {"type": "list", "elements": "int", "default": []},
    "services": {"type": "dict", "default": {}},
    "proxy_protocol_services": {"type": "dict", "default": {}},
    "address": {"type": "str", "default": "127.0.0.1"},
    "action": {"type": "str", "choices": ["reload", "restart"], "default": "reload"},
    "started_by": {"type": "str", "choices": ["systemd", "cluster", "unit"], "default": "systemd"},
}
ARGUMENT_SPEC: Options = {
    "units": {"type": "list", "elements": "dict", "required": True, "options": UNIT_SPEC},
    "ring": {"type": "bool", "default": False},
    "timeout": {"type": "int", "default": 60},
    "state_dir": {"type": "str", "default": "/var/lib/mailcluster-dovecot"},
}


def work(module: AnsibleModule) -> Result:
    os.umask(0o077)
    try:
        return Apply(module.params, module.run_command, module.check_mode)()
    except OSError as error:
        raise ConfigError(str(error)) from error


def main() -> None:
    _main.main(work, ARGUMENT_SPEC)


if __name__ == "__main__":
    main()
