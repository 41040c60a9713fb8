# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.vars import load_extra_vars

from ansible_collections.mailcluster.dovecot.plugins.plugin_utils import (
    _active_passive,
    _calls,
    _explanations,
    _inventory_checks,
    _names,
    _node_checks,
    _resolving,
    _secrets,
    _specification,
    _topology,
)
from ansible_collections.mailcluster.dovecot.plugins.plugin_utils._judgement import Judgement
from ansible_collections.mailcluster.dovecot.plugins.plugin_utils._reading import Reader
from ansible_collections.mailcluster.dovecot.plugins.plugin_utils._storage import Storage
from ansible_collections.mailcluster.dovecot.plugins.plugin_utils._topology import Given, Groups, Topology

# What a template may name beside the host's own variables; the rest of Ansible's own are the first host's.
OF_THE_PLAY = frozenset(
    {
        "ansible_search_path",
        "ansible_play_hosts",
        "ansible_play_hosts_all",
        "ansible_play_batch",
        "ansible_play_name",
        "hostvars",
        "omit",
    }
)


class ActionModule(ActionBase):
    """Runs on the controller only: no connection is opened, nothing is sent to a node."""

    TRANSFERS_FILES = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        task_vars = {} if task_vars is None else task_vars
        super().run(tmp, task_vars)
        spec, args = self.validate_argument_spec(
            argument_spec={
                "nodes": {"type": "dict"},
                "filled": {"type": "str", "default": ""},
                "storage": {"type": "dict", "default": {}},
                "asked_at": {"type": "float"},
                "secrets": {"type": "dict", "default": {}},
                "active_passive": {"type": "dict", "default": {}},
                "topology": {"type": "dict"},
            }
        )
        if args["nodes"] is not None:
            asked = (args["asked_at"], time.time()) if args["asked_at"] else None
            found = _node_checks.problems(
                args["nodes"], args["filled"], args["storage"], asked, args["secrets"], args["active_passive"], args["topology"]
            )
            return self._refuse_or("These nodes cannot be deployed", found, {"changed": False})

        groups = {name: list(hosts) for name, hosts in task_vars["groups"].items()}
        called = [*_calls.problems(groups, task_vars, self._task.tags)]
        judgement, unknown, variables = self._judged(groups, task_vars)
        values = judgement.values
        _resolving.resolve(judgement)
        names = _UserNames()
        complete = {name: {**_specification.plain_defaults(), **host} for name, host in values.items()}
        given = {name: self._given(host, variables[name], names) for name, host in complete.items()}
        common = _common(values)
        topology = _topology.derive(groups, given, vip=common.get("dovecot_vip"))
        storage = self._storage(complete, topology, given)
        pairs = {
            name: _active_passive.declared(complete[name], node["partition"])
            for name, node in topology["nodes"].items()
            if "active_passive" in node["roles"]
        }
        readings = self._readings(judgement, variables, topology, common)
        declared: _inventory_checks.Declared = {
            "groups": groups,
            "topology": topology,
            "vars": common,
            "given": given,
            "secrets": readings,
            "pairs": pairs,
            "values": values,
            "explicit": judgement.explicit,
        }
        found = [
            *called,
            *_names.groups(groups, common),
            *judgement.problems(),
            *unknown,
            *_of_extra_vars(self._extra(), judgement),
        ]
        found += [
            sentence
            for sentence in _inventory_checks.problems(declared)
            if sentence.split(":")[0] not in judgement.unusable and sentence not in found
        ]
        nonce = secrets.token_hex(16)
        return self._refuse_or(
            "The inventory cannot be deployed",
            found,
            {
                "changed": False,
                "topology": topology,
                "storage": storage,
                "active_passive": pairs,
                "time": time.time(),
                "nonce": nonce,
                "secrets": {**self._declared(readings, nonce), **self._keys(pairs, nonce)},
                "values": {name: changed for name, changed in judgement.changed.items() if changed},
                # among the values may be secrets, which -v does not show then
                "_ansible_verbose_override": True,
            },
        )

    def _judged(self, groups: Groups, task_vars: dict[str, Any]) -> tuple[Judgement, list[str], dict[str, dict[str, Any]]]:
        """What the specifications say of each host, and of names that nobody reads; and all variables of each host."""
        hosts = groups.get(_topology.CLUSTER_GROUP, ())
        specs, defaults = _specification.specifications(), self._defaults()
        reader = Reader(self._render, _explanations.explained)
        judgement = Judgement(reader, specs, defaults)
        names = _names.Names(reader, specs)
        everything: dict[str, dict[str, Any]] = {}
        of_play: dict[str, Any] = {}
        of_tasks: dict[str, Any] = {}
        for name in hosts:
            raw = task_vars["hostvars"].raw_get(name)
            if name == hosts[0] or not of_play:
                # a role of the play brings its defaults along, which nobody has set
                of_play = {
                    key: value
                    for key, value in task_vars.items()
                    if key not in raw
                    and (not key.startswith("ansible_") or key in OF_THE_PLAY)
                    and key != "vars"
                    and not (key in defaults and value == defaults[key])
                }
                first = task_vars["hostvars"].raw_get(task_vars["inventory_hostname"])
                # variables of the play and of tasks come before those of the inventory
                of_tasks = {
                    key: value
                    for key, value in task_vars.items()
                    if key.startswith("dovecot_") and key in first and value is not first[key] and value != first[key]
                }
            variables = {**defaults, **of_play, **raw, **of_tasks}
            everything[name] = variables
            roles = _topology.roles_of(name, groups)
            if {"loadbalancer", "replication"} & set(roles):
                roles = [*roles, "service_address"]
            given = {key for key in variables if key.startswith("dovecot_") and variables[key] is not defaults.get(key)}
            judgement.host(name, roles, variables, given)
            judgement.explicit.update(key for key in given if key in raw or variables[key] != defaults.get(key))
            names.host(name, {key for key in raw if key.startswith("dovecot_")}, variables, judgement.values[name])
        return judgement, list(names.problems(len(hosts))), everything

    def _render(self, raw: Any, variables: Mapping[str, Any]) -> Any:
        return self._templar.copy_with_new_env(available_variables=variables).template(raw)

    def _defaults(self) -> dict[str, Any]:
        """Those of all roles, as templates that may be rendered."""
        found: dict[str, Any] = {}
        for role in sorted(os.listdir(_specification.ROLES)):
            path = os.path.join(_specification.ROLES, role, "defaults", "main.yml")
            if os.path.exists(path):
                found.update(self._loader.load_from_file(path, cache="all", trusted_as_template=True) or {})
        return found

    def _extra(self) -> set[str]:
        return set(load_extra_vars(self._loader))

    @staticmethod
    def _given(host: Mapping[str, Any], variables: Mapping[str, Any], names: _UserNames) -> Given:
        """What the topology and the checks take of a host."""
        return {
            "address": host.get("dovecot_address") or variables["inventory_hostname"],
            "hostname": host.get("dovecot_hostname") or variables["inventory_hostname"],
            "partition": host["dovecot_partition"],
            "weight": host["dovecot_backend_weight"],
            "settings": host["dovecot_settings"],
            "export": host["dovecot_nfs_server_export"],
            "lease_time": host["dovecot_nfs_server_lease_time"],
            "users": names.of(host["dovecot_users"]),
            "service_address": host["dovecot_active_passive_address"],
        }

    @staticmethod
    def _storage(values: Mapping[str, Mapping[str, Any]], topology: Topology, given: Mapping[str, Given]) -> dict[str, Storage]:
        """What is declared of the storage that backends share, by node; it is judged and rendered from this."""
        storage: dict[str, Storage] = {}
        for name in topology["storage_clients"]:
            host = values[name]
            kind, source = host["dovecot_shared_storage_type"], host["dovecot_shared_storage_source"]
            servers = topology["nfs_servers"]
            derived = f"{topology['nodes'][servers[0]]['address']}:{given[servers[0]]['export']}" if servers else ""
            storage[name] = given[name]["storage"] = {
                "type": kind,
                "path": host["dovecot_mail_home"],
                "source": source or (derived if kind == "nfs" else ""),
                "mount_options": host["dovecot_shared_storage_mount_options"],
                "lock_method": host["dovecot_shared_storage_lock_method"],
                "index_dir": host["dovecot_shared_storage_index_dir"],
                "volatile_dir": host["dovecot_shared_storage_volatile_dir"],
                "mail_location": host["dovecot_backend_mail_location"],
                "mail_user": host["dovecot_mail_user"],
                "uid": host["dovecot_mail_uid"],
                "gid": host["dovecot_mail_gid"],
                "max_clock_difference": host["dovecot_shared_storage_max_clock_difference"],
            }
        return storage

    def _readings(
        self, judgement: Judgement, variables: Mapping[str, Mapping[str, Any]], topology: Topology, common: Mapping[str, Any]
    ) -> dict[str, list[tuple[str, Any]]]:
        """Secret -> (node, value) pairs; one node is read twice, since a lookup may give another value each time."""
        found: dict[str, list[tuple[str, Any]]] = {}
        for variable, names in _secrets.holders(topology, common.get("dovecot_proxy_login")).items():
            pairs = [(name, self._secret(judgement, name, variable, variables[name])) for name in names]
            found[variable] = [] if variable in judgement.unusable else pairs
            for name in names[:1] if found[variable] else ():
                try:
                    again = self._render(variables[name].get(variable), variables[name])
                except Exception:  # it could be read a moment ago
                    again = None
                found[variable].append((name, pairs[0][1] if again is None else str(again)))
        return found

    @staticmethod
    def _secret(judgement: Judgement, name: str, variable: str, variables: Mapping[str, Any]) -> Any:
        """A node may be given a secret without having the role that the variable is of, as a backend that of its proxies."""
        values = judgement.values[name]
        return values[variable] if variable in values else judgement.of_another_role(name, variable, variables)

    @staticmethod
    def _declared(readings: _secrets.Readings, nonce: str) -> dict[str, _secrets.Secret]:
        """Secret -> its digest, and the nodes that are to have it."""
        return {
            variable: {"digest": _secrets.digest(nonce, pairs[0][1]), "nodes": [name for name, _value in pairs[:-1]]}
            for variable, pairs in readings.items()
            if pairs
        }

    @staticmethod
    def _keys(pairs: Mapping[str, _active_passive.Declared], nonce: str) -> dict[str, _secrets.Secret]:
        """Of active/passive pairs, each of which has a key of its own."""
        digests = {name: _secrets.digest(nonce, pair["corosync_key"]) for name, pair in pairs.items()}
        return {_secrets.PAIR: {"digest": "", "digests": digests, "nodes": list(pairs)}} if pairs else {}

    @staticmethod
    def _refuse_or(title: str, found: Sequence[str], result: dict[str, Any]) -> dict[str, Any]:
        if not found:
            return result
        # a line a mistake, whatever the value is
        lines = "\n".join("  - " + sentence.replace("\n", "\\n") for sentence in found)
        raise AnsibleActionFail(f"{title}, nothing was changed:\n{lines}")


class _UserNames:
    """In small letters, once for all hosts that have the same list."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[Any, frozenset[str]]] = {}

    def of(self, users: Any) -> frozenset[str]:
        if id(users) not in self._known:
            names = frozenset(str(user["name"]).lower() for user in users if user.get("name"))
            self._known[id(users)] = users, names  # the list is kept, so that its id stays its own
        return self._known[id(users)][1]


def _common(values: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Variable -> its value for the first host whose roles have it; what must be the same for all is told where it differs."""
    found: dict[str, Any] = {}
    for host in values.values():
        for variable, value in host.items():
            if variable not in found or (not found[variable] and value):
                found[variable] = value
    return found


def _of_extra_vars(names: set[str], judgement: Judgement) -> Iterator[str]:
    """What is given with -e comes before all that is normalised: texts do no harm there, what must be completed does."""
    for variable in sorted(names & {variable for changed in judgement.changed.values() for variable in changed}):
        values = [changed[variable] for changed in judgement.changed.values() if variable in changed]
        if not isinstance(values[0], (str, int, float)):
            yield (
                f"{variable}: is given with -e in a form that must be completed, which -e does not allow: write it into the "
                f"inventory, or give all of it with its types, as -e '{{\"{variable}\": ...}}'"
            )
