# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import secrets
import time

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ansible_collections.mailcluster.dovecot.plugins.plugin_utils import _inventory_checks, _node_checks, _secrets, _topology


class ActionModule(ActionBase):
    """Runs on the controller only: no connection is opened, nothing is sent to a node."""

    TRANSFERS_FILES = False

    def run(self, tmp=None, task_vars=None):
        super().run(tmp, task_vars)
        spec, args = self.validate_argument_spec(
            argument_spec={
                "vars": {"type": "dict", "default": {}}, "nodes": {"type": "dict"}, "filled": {"type": "str", "default": ""},
                "storage": {"type": "dict", "default": {}}, "asked_at": {"type": "float"},
                "secrets": {"type": "dict", "default": {}}},
        )
        if args["nodes"] is not None:
            asked = (args["asked_at"], time.time()) if args["asked_at"] else None
            found = _node_checks.problems(args["nodes"], args["filled"], args["storage"], asked, args["secrets"])
            return self._refuse_or("These nodes cannot be deployed", found, {"changed": False})

        groups = {name: list(hosts) for name, hosts in task_vars["groups"].items()}
        given = {name: self._given(task_vars["hostvars"], name) for name in groups.get(_topology.CLUSTER_GROUP, ())}
        for name, node in given.items():
            node["users"] = self._users(task_vars["hostvars"], name)
        topology = _topology.derive(groups, given, vip=args["vars"].get("dovecot_vip"))
        storage = self._storage(task_vars["hostvars"], topology, given)
        readings = self._readings(task_vars["hostvars"], topology, args["vars"])
        found = _inventory_checks.problems(
            {"groups": groups, "topology": topology, "vars": args["vars"], "given": given, "secrets": readings}
        )
        nonce = secrets.token_hex(16)
        return self._refuse_or("The inventory cannot be deployed", found, {
            "changed": False, "topology": topology, "storage": storage, "time": time.time(), "nonce": nonce,
            "secrets": self._declared(readings, nonce)})

    @staticmethod
    def _given(hostvars, name):
        host = hostvars[name]
        return {
            "address": host.get("dovecot_address") or host.get("ansible_host") or name,
            "hostname": host.get("dovecot_hostname") or name,
            "partition": host.get("dovecot_partition"),
            "weight": host.get("dovecot_backend_weight", 100),
            "sessions": host.get("dovecot_sessions"),
            "settings": host.get("dovecot_settings") or {},
            "export": host.get("dovecot_nfs_server_export", "/srv/mail"),
            "lease_time": host.get("dovecot_nfs_server_lease_time", 20),
        }

    @staticmethod
    def _storage(hostvars, topology, given):
        """What is declared of the storage that backends share, by node; it is judged and rendered from this."""
        storage = {}
        for name in topology["storage_clients"]:
            host = hostvars[name]
            kind = host.get("dovecot_shared_storage_type") or ""
            source, servers = host.get("dovecot_shared_storage_source") or "", topology["nfs_servers"]
            derived = f"{topology['nodes'][servers[0]]['address']}:{given[servers[0]]['export']}" if servers else ""
            storage[name] = given[name]["storage"] = {
                "type": kind,
                "path": host.get("dovecot_mail_home", "/var/vmail"),
                "source": source or (derived if kind == "nfs" else ""),
                "mount_options": host.get("dovecot_shared_storage_mount_options") or [],
                "lock_method": host.get("dovecot_shared_storage_lock_method") or "",
                "index_dir": host.get("dovecot_shared_storage_index_dir") or "",
                "volatile_dir": host.get("dovecot_shared_storage_volatile_dir") or "",
                "mail_location": host.get("dovecot_backend_mail_location") or "mdbox:~/mdbox",
                "mail_user": host.get("dovecot_mail_user", "vmail"),
                "uid": host.get("dovecot_mail_uid", 5000),
                "gid": host.get("dovecot_mail_gid", 5000),
                "max_clock_difference": host.get("dovecot_shared_storage_max_clock_difference", 1),
            }
        return storage

    @staticmethod
    def _readings(hostvars, topology, variables):
        """Secret -> (node, value) pairs; one node is read twice, since a lookup may give another value each time."""
        holders = _secrets.holders(topology, variables.get("dovecot_proxy_login"))
        return {
            variable: [(name, hostvars[name].get(variable, variables.get(variable))) for name in [*names, *names[:1]]]
            for variable, names in holders.items()}

    @staticmethod
    def _declared(readings, nonce):
        """Secret -> its digest, and the nodes that are to have it."""
        return {
            variable: {"digest": _secrets.digest(nonce, pairs[0][1]), "nodes": [name for name, _value in pairs[:-1]]}
            for variable, pairs in readings.items() if pairs}

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
