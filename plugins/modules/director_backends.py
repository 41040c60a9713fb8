#!/usr/bin/python
# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: director_backends
short_description: Converge the list of backends of a running director ring
description:
  - Reads the live list once and tells the ring only what differs. Any director of the ring will do.
  - Waits for the ring to be in sync before it reads.
  - A backend that an operator drained (weight 0) or took down stays as it is, and is reported in RV(kept).
  - A backend whose tag changes is removed and added, because a director cannot change a tag. Its users are
    assigned anew.
version_added: 0.1.0
author: mailcluster.dovecot contributors (@mailcluster)
extends_documentation_fragment:
  - mailcluster.dovecot.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  backends:
    description: The backends that the ring shall have.
    type: list
    elements: dict
    required: true
    suboptions:
      host:
        description: IP address.
        type: str
        required: true
      tag:
        description: The partition's name. Empty for none.
        type: str
        default: ""
      weight:
        description: Share of the users within the tag (Dovecot's vhosts count), 0 to 1000.
        type: int
        default: 100
  exclusive:
    description: Whether backends that are not listed are removed from the ring.
    type: bool
    default: false
  timeout:
    description: How long to wait for the ring to be in sync, in seconds.
    type: int
    default: 60
"""

EXAMPLES = r"""
- name: Two partitions of two backends each, and nothing else
  mailcluster.dovecot.director_backends:
    exclusive: true
    backends:
      - {host: 198.51.100.31, tag: a}
      - {host: 198.51.100.32, tag: a}
      - {host: 198.51.100.41, tag: b}
      - {host: 198.51.100.42, tag: b, weight: 50}
"""

RETURN = r"""
backends:
  description: The list as it is now, or would be in check mode, by host.
  returned: success
  type: dict
  sample: {"198.51.100.31": {"tag": "a", "weight": 100, "state": "up", "users": 12}}
kept:
  description: Hosts that were left drained or down, against the given weight.
  returned: success
  type: list
  elements: str
commands:
  description: What the ring was told, or would be told, as words after C(doveadm director).
  returned: success
  type: list
  elements: list
argv:
  description: The command that failed.
  returned: failure of doveadm
  type: list
  elements: str
stderr:
  description: What it said.
  returned: failure of doveadm
  type: str
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.mailcluster.dovecot.plugins.module_utils import _director
from ansible_collections.mailcluster.dovecot.plugins.module_utils._doveadm import Doveadm, DoveadmError, NotRunning


def converge(doveadm, params, check_mode):
    """The module's result."""
    desired = {item["host"]: item for item in params["backends"]}
    _director.wait_synced(doveadm, params["timeout"])
    current = _director.parse_backends(doveadm.rows("director", "status"))
    commands = _director.plan(desired, current, params["exclusive"])
    after = _director.apply_plan(commands, current, desired)
    if not check_mode:
        for words in commands:
            doveadm.run("director", *words)
    return {
        "changed": bool(commands),
        "commands": commands,
        "backends": after,
        "kept": sorted(
            host for host, live in current.items()
            if host in desired and _director.kept_by_operator(live) and desired[host]["weight"] != 0),
        "diff": {"before": _director.as_lines(current), "after": _director.as_lines(after)},
    }


def main():
    module = AnsibleModule(
        argument_spec={
            "backends": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "host": {"type": "str", "required": True},
                    "tag": {"type": "str", "default": ""},
                    "weight": {"type": "int", "default": 100},
                },
            },
            "exclusive": {"type": "bool", "default": False},
            "timeout": {"type": "int", "default": 60},
        },
        supports_check_mode=True,
    )
    module.run_command_environ_update = {"LC_ALL": "C"}
    if not module.get_bin_path("doveadm") and module.check_mode:
        # the first run in check mode: the packages would have been installed by now
        module.exit_json(changed=True, commands=[], backends={}, kept=[])
    try:
        result = converge(Doveadm(module.run_command), module.params, module.check_mode)
    except NotRunning as error:
        if module.check_mode:
            module.exit_json(changed=True, commands=[], backends={}, kept=[])
        module.fail_json(msg=str(error), **error.details())
    except DoveadmError as error:
        module.fail_json(msg=str(error), **error.details())
    module.exit_json(**result)


if __name__ == "__main__":
    main()
