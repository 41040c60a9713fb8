# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which variables there are, as the roles' argument specifications tell it."""

from __future__ import annotations

import difflib
import os

import yaml

ROLES = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "roles")
# What belongs to the topology and so to no role.
TOPOLOGY = {
    "dovecot_partition": {"type": "str"},
    "dovecot_own_variables": {"type": "list", "elements": "str", "default": []},
}
# What the playbooks ask for with -e.
PLAYBOOKS = frozenset({
    "dovecot_fill_anyway", "dovecot_maintenance_actions", "dovecot_maintenance_timeout", "dovecot_maintenance_users",
    "dovecot_move_confirmed", "dovecot_move_database", "dovecot_move_database_node", "dovecot_move_login",
    "dovecot_move_password", "dovecot_move_to", "dovecot_move_user", "dovecot_new_node", "dovecot_probe_ca_file",
    "dovecot_probe_host", "dovecot_probe_password", "dovecot_probe_user", "dovecot_verify_sample"})
# Numbers that YAML makes of a secret or a name are refused where they may have been written differently; so are
# these values in a message.
SECRET = frozenset({
    "dovecot_doveadm_password", "dovecot_proxy_master_password", "dovecot_tls_cert", "dovecot_tls_key", "dovecot_replication_ca",
    "dovecot_users", "dovecot_user_databases"})


def specifications(folder=ROLES):
    """Role -> variable -> its specification."""
    found = {}
    for role in sorted(os.listdir(folder)):
        path = os.path.join(folder, role, "meta", "argument_specs.yml")
        if os.path.exists(path):
            with open(path, encoding="utf-8") as file:
                tree = yaml.load(file, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
            found[role] = tree["argument_specs"]["main"]["options"]
    found["node"] = {**found["node"], **TOPOLOGY}
    return found


def did_you_mean(name, known):
    """Words to put behind a name that nobody knows; empty when none is like it."""
    like = difflib.get_close_matches(str(name), sorted(known), n=1, cutoff=0.7)
    return f"did you mean {like[0]}?" if like else ""
