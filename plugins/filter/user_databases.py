# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: user_databases
short_description: User databases as a node needs them - their names, drivers and files
description:
  - Gives each of C(dovecot_user_databases) a name, and makes the files with which Dovecot asks the directory or the SQL server,
    by the roles and the partition of the node.
version_added: 0.1.0
author: mailcluster.dovecot contributors (@mailcluster)
positional: node, topology
options:
  _input:
    description: C(dovecot_user_databases), as the role C(server) documents it.
    type: list
    elements: dict
    required: true
  node:
    description: The node, as the topology of M(mailcluster.dovecot.preflight) has it.
    type: dict
    required: true
  topology:
    description: The topology.
    type: dict
    required: true
  home_servers:
    description: What a database says of a user's home, and the partition that it means. Without it, it says the partition's name.
    type: dict
  master:
    description: C(name) and C(password) of the master user with whom proxies log in; without it they forward the user's password.
    type: dict
  uid:
    description: User id of all mail.
    type: int
    default: 5000
  gid:
    description: Group id of all mail.
    type: int
    default: 5000
  home:
    description: The folder below which the users' homes are.
    type: path
    default: /var/vmail
  timeout:
    description: Seconds that a backend may take to answer a proxy.
    type: int
    default: 10
  sasl:
    description: Whether the node judges the passwords of SMTP clients with files of their own.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Show which files there would be
  ansible.builtin.debug:
    msg: "{{ (dovecot_user_databases | mailcluster.dovecot.user_databases(topology.nodes.a1, topology)).files
      | map(attribute='dest') }}"
"""

RETURN = r"""
_value:
  description:
    - C(databases), in their order, as they were given, their credentials too, each completed with its C(name), with the defaults
      of what was left out, with its C(file), its C(sasl_file) for SMTP AUTH, and with C(authority), the file with the certificate
      authority that it is trusted by; C(fields), what the passdb says of every user;
      C(target_field) and C(targets), the field that says where a user's mail is, and its value by partition, empty on a node that
      has all that it serves; C(files), as M(mailcluster.dovecot.config) takes
      them; C(packages), which Debian packages they need.
  type: dict
  sample: {"databases": [{"name": "ldap", "driver": "ldap", "file": "/etc/dovecot/databases/ldap.conf.ext",
                          "sasl_file": "/etc/dovecot/databases/ldap-sasl.conf.ext",
                          "authority": "/etc/ssl/certs/ca-certificates.crt"}],
           "fields": {"nopassword": "y", "proxy": "y"}, "target_field": "director_tag", "targets": {"a": "a", "b": "b"},
           "files": [], "packages": ["dovecot-ldap"]}
"""

from collections.abc import Callable, Iterable, Mapping
from typing import TypedDict

from ansible_collections.mailcluster.dovecot.plugins.plugin_utils import _user_databases
from ansible_collections.mailcluster.dovecot.plugins.plugin_utils._topology import Node, Topology


class UserDatabases(TypedDict):
    databases: list[_user_databases.Database]
    fields: _user_databases.Settings
    target_field: str
    targets: Mapping[str, str]
    files: list[_user_databases.File]
    packages: list[str]


def user_databases(
    databases: Iterable[_user_databases.Database],
    node: Node,
    topology: Topology,
    home_servers: Mapping[str, str] | None = None,
    master: _user_databases.Master | None = None,
    uid: int = 5000,
    gid: int = 5000,
    home: str = "/var/vmail",
    timeout: int = 10,
    sasl: bool = False,
) -> UserDatabases:
    addresses = topology["partition_addresses"]
    values = _user_databases.home_servers(home_servers, addresses)
    place = _user_databases.Place(node["roles"], node["partition"], values, addresses, master, uid, gid, home, timeout)
    found = _user_databases.complete(databases)
    return {
        "databases": found,
        "fields": place.fields(),
        "target_field": place.target[0] or "",
        "targets": place.target[1],
        "files": _user_databases.files(found, place, sasl),
        "packages": _user_databases.packages(found),
    }


class FilterModule:
    def filters(self) -> dict[str, Callable[..., object]]:
        return {"user_databases": user_databases}
