# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
name: passwd_entry
short_description: A user's line in a passwd-file of Dovecot's
description:
  - Puts name, password and extra fields together. Fails where a value would end its field early or begin another one.
version_added: 0.1.0
author: mailcluster.dovecot contributors (@mailcluster)
positional: password, fields
options:
  _input:
    description: The user's name. It is written in lower case.
    type: str
    required: true
  password:
    description: The hash with its scheme. Empty, there is none.
    type: str
    default: ''
  fields:
    description: Extra fields. Dovecot expands its variables in them.
    type: dict
    default: {}
seealso:
  - plugin: mailcluster.dovecot.quoted
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Show a line
  ansible.builtin.debug:
    msg: "{{ 'Anna@example.org' | mailcluster.dovecot.passwd_entry('{CRYPT}...', {'userdb_noreplicate': 'y'}) }}"
"""

RETURN = r"""
_value:
  description: The line.
  type: str
  sample: anna@example.org:{CRYPT}...::::::userdb_noreplicate=y
"""

from collections.abc import Callable, Mapping

from ansible.errors import AnsibleFilterError

from ansible_collections.mailcluster.dovecot.plugins.plugin_utils import _quoting


def passwd_entry(name: object, password: object = "", fields: Mapping[str, object] | None = None) -> str:
    try:
        return _quoting.passwd_entry(name, password, fields)
    except _quoting.Unwritable as error:
        raise AnsibleFilterError(f"{name}: a value (not shown) {error}: it cannot be written into a passwd-file") from None


class FilterModule:
    def filters(self) -> dict[str, Callable[..., object]]:
        return {"passwd_entry": passwd_entry}
