#!/usr/bin/python
# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: home_server
short_description: Write a user's home server into the user database
description:
  - Changes the field of a directory or an SQL database that says where a user's mail is, by the database's own client program
    (C(ldapmodify), C(psql), C(mysql), C(sqlite3)), which must be on the node.
  - Fails unless exactly one user is changed.
version_added: 0.1.0
author: mailcluster.dovecot contributors (@mailcluster)
extends_documentation_fragment:
  - mailcluster.dovecot.attributes
  - mailcluster.dovecot.attributes.no_diff
  - mailcluster.dovecot.attributes.platform
attributes:
  check_mode:
    details: The change is rehearsed, as with O(rehearsal).
  idempotent:
    support: N/A
    details: The database is written to in any case.
options:
  database:
    description:
      - The database, as an item of C(databases) that the filter P(mailcluster.dovecot.user_databases#filter) returns.
    type: dict
    required: true
  user:
    description: Whose home changes, as the database writes the name.
    type: str
    required: true
  value:
    description: The value to write.
    type: str
    required: true
  login:
    description: The login that writes. The default is the login that Dovecot reads with.
    type: str
  password:
    description: The password of O(login).
    type: str
  rehearsal:
    description:
      - Whether the change is only tried. In an SQL database it is rolled back. In a directory, which has no way back, the present
        value is written once more.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Rehearse the change
  mailcluster.dovecot.home_server:
    database: "{{ databases | selectattr('name', 'eq', 'pgsql') | first }}"
    user: alice@example.org
    value: b
    rehearsal: true
"""

RETURN = r"""
database:
  description: The name of the database.
  returned: success
  type: str
  sample: pgsql
"""

from collections.abc import Mapping

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.mailcluster.dovecot.plugins.module_utils import _home_server, _main
from ansible_collections.mailcluster.dovecot.plugins.module_utils._errors import Failure
from ansible_collections.mailcluster.dovecot.plugins.module_utils._types import Options, Result

OPTIONS: Options = {
    # its credentials are taken out of what is shown by work()
    "database": {"type": "dict", "required": True},
    "user": {"type": "str", "required": True},
    "value": {"type": "str", "required": True},
    "login": {"type": "str"},
    "password": {"type": "str", "no_log": True},
    "rehearsal": {"type": "bool", "default": False},
}


def work(module: AnsibleModule) -> Result:
    params = module.params
    database = params["database"]
    module.no_log_values.update(str(database[key]) for key in ("password", "bind_password") if database.get(key))
    change = _home_server.Change(
        database,
        params["user"],
        params["value"],
        params["login"] or database.get("bind_dn") or database.get("user") or "",
        params["password"] or database.get("bind_password") or database.get("password") or "",
        params["rehearsal"] or module.check_mode,
    )

    def run(argv: list[str], environment: Mapping[str, str], stdin: str | None = None) -> tuple[int, str, str]:
        return module.run_command(
            argv, environ_update={"LC_ALL": "C.UTF-8", **environment}, data=stdin, expand_user_and_vars=False
        )

    try:
        _home_server.write(change, run, _home_server.secret_file_in(module.tmpdir))
    except _home_server.NotChanged as error:
        raise Failure("%s did not take the home of %s: %s" % (database["name"], params["user"], error)) from error
    return {"changed": not params["rehearsal"], "database": database["name"]}


def main() -> None:
    _main.main(work, OPTIONS)


if __name__ == "__main__":
    main()
