# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What all hosts must agree on, and does differ. Secrets are compared by C(_secrets)."""

from __future__ import annotations

import hashlib
from collections.abc import Container, Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.mailcluster.dovecot.plugins.plugin_utils._judgement import same
from ansible_collections.mailcluster.dovecot.plugins.plugin_utils._specification import SECRET
from ansible_collections.mailcluster.dovecot.plugins.plugin_utils._words import some

OF_ALL = (
    "dovecot_vip",
    "dovecot_protocols",
    "dovecot_ports",
    "dovecot_proxy_protocol_ports",
    "dovecot_health_ports",
    "dovecot_ring_port",
    "dovecot_doveadm_port",
    "dovecot_dsync_port",
    "dovecot_agent_port",
    "dovecot_sasl_port",
    "dovecot_allow_routed",
    "dovecot_users",
    "dovecot_user_databases",
    "dovecot_home_servers",
    "dovecot_mail_user",
    "dovecot_mail_uid",
    "dovecot_mail_gid",
    "dovecot_proxy_login",
    "dovecot_vrrp_router_id",
    "dovecot_service_address_advert_interval",
    "dovecot_service_address_preferred",
    "dovecot_director_user_expire",
    "dovecot_director_user_kick_delay",
)
OF_A_PARTITION = (
    "dovecot_mail_home",
    "dovecot_backend_mail_location",
    "dovecot_backend_namespaces",
    "dovecot_mail_plugins",
    "dovecot_protocol_mail_plugins",
    "dovecot_backend_quota",
    "dovecot_backend_quota_limit",
    "dovecot_replication_transport",
    "dovecot_replication_dsync_parameters",
)


def problems(
    values: Mapping[str, Mapping[str, Any]], partitions: Mapping[str, Sequence[str]], already_told: Container[str] = frozenset()
) -> Iterator[str]:
    """I(values): host -> variable -> value.  I(partitions): name -> hosts."""
    for variable in OF_ALL:
        if variable not in already_told:
            hosts = [name for name, host in values.items() if variable in host]
            yield from _differing(variable, hosts, values, "dovecot_cluster")
    for members in partitions.values():
        for variable in OF_A_PARTITION:
            hosts = [name for name in members if variable in values[name]]
            yield from _differing(variable, hosts, values, "the group of its partition")


def _differing(variable: str, hosts: Sequence[str], values: Mapping[str, Mapping[str, Any]], group: str) -> Iterator[str]:
    kinds: list[tuple[Any, list[str]]] = []  # of a value, and who has it
    for name in hosts:
        value = values[name][variable]
        for other, names in kinds:
            if other is value or same(other, value):
                names.append(name)
                break
        else:
            kinds.append((value, [name]))
    if len(kinds) > 1:
        kinds.sort(key=lambda kind: len(kind[1]))
        words = " and ".join(f"{_words(variable, value)} for {some(names)}" for value, names in kinds[:3])
        yield f"{variable}: is {words}, but they must agree: set it once, for {group}"


def _words(variable: str, value: Any) -> str:
    if variable not in SECRET:
        return f"'{value}'"
    digest = hashlib.sha256(repr(value).encode()).hexdigest()[:8]
    return f"{len(value or ())} items (digest {digest})"
