# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which variables there are, as the roles' argument specifications tell it."""

from __future__ import annotations

import difflib
import functools
import os
from collections.abc import Iterable
from typing import Any, TypedDict

import yaml

ROLES = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "roles")


class Option(TypedDict, total=False):
    """The specification of a variable, as far as it is read here."""

    type: str
    elements: str
    default: Any
    choices: list[str]
    required: bool
    options: dict[str, Option]


# role -> variable -> its specification
Specifications = dict[str, dict[str, Option]]

# Of the variables that several roles read (of the role cluster), those that not every node needs: a node that has none of these
# roles may lack them, or have others.
READ_BY: dict[tuple[str, ...], tuple[str, ...]] = {
    ("server",): (
        "dovecot_doveadm_password",
        "dovecot_tls_cert",
        "dovecot_tls_key",
        "dovecot_tls_cert_file",
        "dovecot_tls_key_file",
        "dovecot_tls_min_protocol",
        "dovecot_user_databases",
        "dovecot_home_servers",
        "dovecot_users",
        "dovecot_mail_user",
        "dovecot_mail_uid",
        "dovecot_mail_gid",
        "dovecot_mail_home",
        "dovecot_extra_packages",
        "dovecot_settings",
    ),
    ("backend",): (
        "dovecot_mail_plugins",
        "dovecot_protocol_mail_plugins",
        "dovecot_backend_submission_host",
        "dovecot_backend_submission_ssl",
    ),
    ("director",): ("dovecot_director_monitor",),
    ("proxy",): ("dovecot_proxy_login", "dovecot_proxy_master_password", "dovecot_proxy_timeout"),
    ("shared_storage",): ("dovecot_shared_storage_max_clock_difference", "dovecot_shared_storage_timeout"),
    ("active_passive",): ("dovecot_active_passive_corosync_port", "dovecot_active_passive_drbd_port"),
    ("nfs_server",): ("dovecot_nfs_server_export", "dovecot_mail_uid", "dovecot_mail_gid"),
}
# What belongs to the topology and so to no role.
TOPOLOGY: dict[str, Option] = {
    "dovecot_partition": {"type": "str"},
    "dovecot_own_variables": {"type": "list", "elements": "str", "default": []},
}
# What the playbooks ask for with -e.
PLAYBOOKS = frozenset(
    {
        "dovecot_fill_anyway",
        "dovecot_maintenance_actions",
        "dovecot_maintenance_timeout",
        "dovecot_maintenance_users",
        "dovecot_move_confirmed",
        "dovecot_move_database",
        "dovecot_move_database_node",
        "dovecot_move_login",
        "dovecot_move_password",
        "dovecot_move_to",
        "dovecot_move_user",
        "dovecot_new_node",
        "dovecot_node",
        "dovecot_node_state",
        "dovecot_probe_ca_file",
        "dovecot_probe_host",
        "dovecot_probe_password",
        "dovecot_probe_user",
        "dovecot_give_up",
        "dovecot_keep_in",
        "dovecot_switch_back",
        "dovecot_switch_partition",
        "dovecot_verify_fencing",
        "dovecot_verify_sample",
    }
)
# Numbers that YAML makes of a secret or a name are refused where they may have been written differently; so are
# these values in a message.
SECRET = frozenset(
    {
        "dovecot_doveadm_password",
        "dovecot_proxy_master_password",
        "dovecot_active_passive_secret",
        "dovecot_active_passive_fencing",
        "dovecot_tls_cert",
        "dovecot_tls_key",
        "dovecot_replication_ca",
        "dovecot_users",
        "dovecot_user_databases",
    }
)


@functools.cache
def plain_defaults() -> dict[str, Any]:
    """Variable -> its default, of all roles; None where it is derived."""
    return {variable: option.get("default") for options in specifications().values() for variable, option in options.items()}


@functools.cache
def specifications(folder: str = ROLES) -> Specifications:
    """Role -> variable -> its specification, for the roles that read it; what all nodes read is that of C(node)."""
    found: Specifications = {"node": {}}
    for role in sorted(os.listdir(folder)):
        path = os.path.join(folder, role, "meta", "argument_specs.yml")
        if os.path.exists(path):
            with open(path, encoding="utf-8") as file:
                tree = yaml.load(file, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
            found[role] = tree["argument_specs"]["main"]["options"]
    shared = found.pop("cluster")
    for roles, variables in READ_BY.items():
        for role in roles:
            found.setdefault(role, {}).update((variable, shared[variable]) for variable in variables)
    of_some = {variable for variables in READ_BY.values() for variable in variables}
    found["node"].update((variable, option) for variable, option in shared.items() if variable not in of_some)
    found["node"].update(TOPOLOGY)
    return found


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """Words to put behind a name that nobody knows; empty when none is like it."""
    like = difflib.get_close_matches(str(name), sorted(known), n=1, cutoff=0.7)
    return f"did you mean {like[0]}?" if like else ""
