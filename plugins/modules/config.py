#!/usr/bin/python
# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: config
short_description: Installs a role's configuration files together, validated and reversible
version_added: 0.1.0
description:
  - Takes all configuration files of one role in a single call. Templates are rendered on the controller.
  - Where something differs, the complete tree of all managed files is staged in a private directory and validated.
    Only then are the files swapped by renaming.
  - A refusal installs nothing. It also restores files that earlier calls of the same run have installed, but that
    M(mailcluster.dovecot.config_apply) has not yet activated.
  - Manages only its own files. It removes files that the role no longer lists, and files of roles that the node has lost.
  - Does not reload anything. M(mailcluster.dovecot.config_apply) does, at the end of the run.
extends_documentation_fragment:
  - mailcluster.dovecot.attributes
  - mailcluster.dovecot.attributes.full
  - mailcluster.dovecot.attributes.action
  - mailcluster.dovecot.attributes.platform
attributes:
  check_mode:
    details: Stages and validates as well. Where a validator is not installed yet, it warns instead.
  diff_mode:
    details: The content of secret files is not shown.
options:
  role:
    description: The owner of these files.
    type: str
    required: true
  roles:
    description:
      - All roles that this node has. Files that are recorded for another role are removed.
      - O(role) counts as one of them. If this option is missing, only files of O(role) are removed.
    type: list
    elements: str
  partial:
    description: Whether O(files) are some of the role's files only. What else is recorded of any role then stays as it is.
    type: bool
    default: false
  unit:
    description: The systemd unit that must pick up the files.
    type: str
    default: ''
  validate:
    description:
      - How the staged tree is checked before anything is installed.
      - The word V(dovecot) is the built-in check of the whole Dovecot configuration, which also sees plugins and
        protocols that are not installed, certificates that are missing or do not belong to their key, accounts that do
        not exist, and what Dovecot's own auth process, started for them alone, finds wrong in the files of LDAP and SQL
        databases. The databases are not asked.
      - Anything else is a command line (without a shell) in which V({tree}) stands for the root of the staged tree.
    type: list
    elements: str
    default: []
  files:
    description: The files of this role, all of them unless O(partial) is set.
    type: list
    elements: dict
    required: true
    suboptions:
      dest:
        description: The absolute path of the file.
        type: str
        required: true
      template:
        description:
          - A Jinja template, searched in the role's C(templates/) as M(ansible.builtin.template) does.
          - One of this, O(files[].file) and O(files[].content) must be given.
        type: str
      file:
        description: A file of the role's C(files/), as it is.
        type: str
      interpreter:
        description: What runs O(files[].file); the first line of what is installed names it.
        type: str
        default: ''
      content:
        description: The literal content. A mapping is written as JSON.
        type: raw
      secret:
        description: Never shown in a diff, a message or a log. The mode is V(0600) if nothing else is said.
        type: bool
        default: false
      owner:
        description: The owner.
        type: str
        default: root
      group:
        description: The group.
        type: str
        default: root
      mode:
        description: The mode in octal notation. V(0644) if nothing else is said, V(0600) for a secret.
        type: str
      unit:
        description:
          - The unit that must pick up this file, instead of O(unit). Empty for none.
          - A file that only changes what systemd does with a unit, for example C(Restart=), needs none. systemd reads it
            and the unit keeps running; otherwise the unit would have to be restarted.
        type: str
  secrets:
    description: Contents of the secret files. The action plugin fills this, it is not for playbooks.
    type: dict
    default: {}
  state_dir:
    description: Where the record of managed files, and the previous versions until the next apply, are kept.
    type: str
    default: /var/lib/mailcluster-dovecot
seealso:
  - module: mailcluster.dovecot.config_apply
author:
  - mailcluster.dovecot contributors (@mailcluster)
"""

EXAMPLES = r"""
- name: Configure the backend
  mailcluster.dovecot.config:
    role: backend
    roles: [server, backend, replication]
    unit: dovecot.service
    validate: [dovecot]
    files:
      - dest: /etc/dovecot/mailcluster.d/20-backend.conf
        template: backend.conf.j2
      - dest: /etc/dovecot/mailcluster.d/90-secret.conf
        content: "doveadm_password = {{ dovecot_doveadm_password }}\n"
        secret: true

- name: Configure haproxy
  mailcluster.dovecot.config:
    role: loadbalancer
    unit: haproxy.service
    validate:
      - haproxy -c -f {tree}/etc/haproxy/haproxy.cfg
    files:
      - dest: /etc/haproxy/haproxy.cfg
        template: haproxy.cfg.j2
        mode: "0640"
        group: haproxy
"""

RETURN = r"""
changed_files:
  description: The files that were written, or would be in check mode.
  returned: always
  type: list
  elements: str
  sample: [/etc/dovecot/mailcluster.d/20-backend.conf]
removed_files:
  description: The files that were removed, or would be in check mode.
  returned: always
  type: list
  elements: str
  sample: []
units:
  description: The units that have to pick up the changes of this call.
  returned: always
  type: list
  elements: str
  sample: [dovecot.service]
problems:
  description: What the validators found.
  returned: when the configuration was refused
  type: list
  elements: str
pending:
  description:
    - Whether files are installed on this host that are not in force yet, from this call or from an earlier one.
    - M(mailcluster.dovecot.config_apply) brings them into force.
  returned: success
  type: bool
  sample: true
restored_files:
  description: The files of earlier calls that were taken back because of the refusal.
  returned: when the configuration was refused
  type: list
  elements: str
"""

import os
import signal
from typing import NoReturn

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.mailcluster.dovecot.plugins.module_utils import _main
from ansible_collections.mailcluster.dovecot.plugins.module_utils._config_call import Call
from ansible_collections.mailcluster.dovecot.plugins.module_utils._config_state import ConfigError
from ansible_collections.mailcluster.dovecot.plugins.module_utils._types import Options, Result

FILE_SPEC: Options = {
    "dest": {"type": "str", "required": True},
    "template": {"type": "str"},
    "file": {"type": "str"},
    "interpreter": {"type": "str", "default": ""},
    "content": {"type": "raw"},
    "secret": {"type": "bool", "default": False},
    "owner": {"type": "str", "default": "root"},
    "group": {"type": "str", "default": "root"},
    "mode": {"type": "str"},
    "unit": {"type": "str"},
}
ARGUMENT_SPEC: Options = {
    "role": {"type": "str", "required": True},
    "roles": {"type": "list", "elements": "str"},
    "unit": {"type": "str", "default": ""},
    "partial": {"type": "bool", "default": False},
    "validate": {"type": "list", "elements": "str", "default": []},
    "files": {"type": "list", "elements": "dict", "required": True, "options": FILE_SPEC},
    "secrets": {"type": "dict", "default": {}, "no_log": True},
    "state_dir": {"type": "str", "default": "/var/lib/mailcluster-dovecot"},
}


class Module(AnsibleModule):
    """Does not write the contents of all files into the node's log whenever it is invoked."""

    def _log_invocation(self) -> None:
        files = self.params["files"]
        self.params["files"] = [file["dest"] for file in files]
        try:
            super()._log_invocation()
        finally:
            self.params["files"] = files


def interrupt(*dummy: object) -> NoReturn:
    """A closed connection must not leave the staged tree behind: Python ends at once by default."""
    raise KeyboardInterrupt


def work(module: AnsibleModule) -> Result:
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)
    os.umask(0o077)
    call = Call(module.params, module.run_command, module.get_bin_path, module.check_mode, module._diff)
    try:
        return call()
    except OSError as error:
        raise ConfigError("Nothing was installed: %s" % error) from error
    finally:
        for warning in call.warnings:
            module.warn(warning)


def main() -> None:
    _main.main(work, ARGUMENT_SPEC, Module)


if __name__ == "__main__":
    main()
