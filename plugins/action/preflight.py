# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ansible_collections.mailcluster.dovecot.plugins.plugin_utils import _inventory_checks, _node_checks, _topology


class ActionModule(ActionBase):
    """Runs on the controller only: no connection is opened, nothing is sent to a node."""

    TRANSFERS_FILES = False

    def run(self, tmp=None, task_vars=None):
        super().run(tmp, task_vars)
        spec, args = self.validate_argument_spec(
            argument_spec={
                "vars": {"type": "dict", "default": {}}, "nodes": {"type": "dict"}, "filled": {"type": "str", "default": ""}},
        )
        if args["nodes"] is not None:
            found = _node_checks.problems(args["nodes"], args["filled"])
            return self._refuse_or("These nodes cannot be deployed", found, {"changed": False})

        groups = {name: list(hosts) for name, hosts in task_vars["groups"].items()}
        given = {name: self._given(task_vars["hostvars"], name) for name in groups.get(_topology.CLUSTER_GROUP, ())}
        for name, node in given.items():
            node["users"] = self._users(task_vars["hostvars"], name)
        topology = _topology.derive(groups, given, vip=args["vars"].get("dovecot_vip"))
        found = _inventory_checks.problems(
            {"groups": groups, "topology": topology, "vars": args["vars"], "given": given}
        )
        return self._refuse_or("The inventory cannot be deployed", found, {"changed": False, "topology": topology})

    @staticmethod
    def _given(hostvars, name):
        host = hostvars[name]
        return {
            "address": host.get("dovecot_address") or host.get("ansible_host") or name,
            "hostname": host.get("dovecot_hostname") or name,
            "partition": host.get("dovecot_partition"),
            "weight": host.get("dovecot_backend_weight", 100),
            "settings": host.get("dovecot_settings") or {},
        }

    @classmethod
    def _users(cls, hostvars, name):
        """The names in dovecot_users of this node, in small letters.

        To render each password for each node would take long: where names can be read as they are written, they are.
        """
        written = cls._names(hostvars.raw_get(name).get("dovecot_users"))
        if written is None or any("{{" in user or "{%" in user for user in written):
            written = cls._names(hostvars[name].get("dovecot_users"))
        return frozenset(written or ())

    @staticmethod
    def _names(users):
        """None when I(users) is no list of users."""
        if users is None:
            return []
        if not isinstance(users, list) or not all(isinstance(user, dict) for user in users):
            return None
        return [str(user["name"]).lower() for user in users if user.get("name")]

    @staticmethod
    def _refuse_or(title, found, result):
        if not found:
            return result
        lines = "\n".join(f"  - {sentence}" for sentence in found)
        raise AnsibleActionFail(f"{title}, nothing was changed:\n{lines}")
