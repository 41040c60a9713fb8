# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
name: quoted
short_description: A value as a file of Dovecot's or its databases' holds it
description:
  - Writes a value so that what reads the file gets exactly the value, with quotes where they are needed.
  - Fails where the file cannot hold it, as with a line break, a list or an empty value, and so never ends a line early or begins
    another setting.
version_added: 0.1.0
author: mailcluster.dovecot contributors (@mailcluster)
positional: place
options:
  _input:
    description: The value. A truth value becomes C(yes) or C(no).
    type: raw
    required: true
  place:
    description: Where it stands.
    type: str
    default: setting
    choices:
      setting: After the C(=) of a setting, in C(dovecot.conf) and in the files of LDAP and SQL databases.
      expression: As V(setting), but a word that begins with C($), a value that begins with C(<), and a text within quotes mean
        what they mean to Dovecot.
      field: A name or a password in a passwd-file, of which P(mailcluster.dovecot.passwd_entry#filter) makes a whole line.
      extra: An extra field in a passwd-file, in which Dovecot expands its variables.
      postgresql: A value in the connect string for PostgreSQL.
      mysql: A value in the connect string for MySQL.
      word: A value in a file that has quotes and comments of its own, as MySQL's option file.
      sql: A text in a query.
      ldap_field: A fixed value in a list of LDAP attributes.
      ldap_filter: A value to compare with in an LDAP filter.
"""

EXAMPLES = r"""
- name: Show how Dovecot would greet
  ansible.builtin.debug:
    msg: "login_greeting = {{ 'Mail #1' | mailcluster.dovecot.quoted }}"

- name: Show a connect string
  ansible.builtin.debug:
    msg: "host=db password={{ vault_password | mailcluster.dovecot.quoted('postgresql') }}"
"""

RETURN = r"""
_value:
  description: The value as it is to be written.
  type: str
  sample: '"Mail #1"'
"""

from collections.abc import Callable

from ansible.errors import AnsibleFilterError

from ansible_collections.mailcluster.dovecot.plugins.plugin_utils import _quoting


def quoted(value: object, place: str = "setting") -> str:
    try:
        return _quoting.quoted(value, place)
    except _quoting.Unwritable as error:
        raise AnsibleFilterError(f"a value (not shown) {error}: it cannot be written into a file of Dovecot's") from None


class FilterModule:
    def filters(self) -> dict[str, Callable[..., object]]:
        return {"quoted": quoted}
