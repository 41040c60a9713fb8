# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be wrong with the nodes themselves, as C(node_info) found them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ansible_collections.mailcluster.dovecot.plugins.plugin_utils import _pair_checks, _secrets
from ansible_collections.mailcluster.dovecot.plugins.plugin_utils._active_passive import Declared
from ansible_collections.mailcluster.dovecot.plugins.plugin_utils._facts import Facts
from ansible_collections.mailcluster.dovecot.plugins.plugin_utils._storage import Storage
from ansible_collections.mailcluster.dovecot.plugins.plugin_utils._topology import Topology

# What a node has, and what is declared of its storage.
Sharing = Mapping[str, tuple[Facts, Storage]]


def problems(
    nodes: Mapping[str, Facts],
    filled: str = "",
    storage: Mapping[str, Storage] | None = None,
    asked: tuple[float, float] | None = None,
    secrets: Mapping[str, _secrets.Secret] | None = None,
    pairs: Mapping[str, Declared] | None = None,
    topology: Topology | None = None,
) -> list[str]:
    """Sentences about I(nodes): node name -> result of C(node_info), reachable nodes only.

    I(filled) is the node that playbooks/fill_node.yml is at work on.  I(storage): name of each backend with shared storage ->
    what is declared of it.  I(asked): the controller's clock before the nodes were read, and after.  I(secrets): what
    all nodes are to share, as C(_secrets.changing) takes it.  I(pairs): node -> what is declared of an active/passive pair.
    """
    found = [sentence for check in CHECKS for sentence in check(nodes)]
    found += check_filling(nodes, filled)
    found += _secrets.changing(nodes, secrets or {})
    found += _pair_checks.problems(nodes, pairs or {}, topology)
    sharing = {name: (nodes[name], declared) for name, declared in (storage or {}).items() if name in nodes}
    return found + [*check_hidden_mail(sharing), *check_mail_accounts(sharing), *check_clocks(sharing, asked)]


def check_versions(nodes: Mapping[str, Facts]) -> Iterator[str]:
    for name, node in nodes.items():
        version = node.get("dovecot_version")
        if version is None:
            yield (
                f"{name}: {node['distribution']} offers no dovecot-core: Dovecot 2.3 on Debian 12 is supported, "
                f"check the package sources (apt-cache policy dovecot-core)"
            )
        elif not version.startswith("2.3."):
            yield (
                f"{name}: Dovecot {version} ({node['distribution']}): from 2.4 on there is neither director nor "
                f"replicator, and the configuration language is another one: use Dovecot 2.3 (Debian 12)"
            )


def check_hostnames(nodes: Mapping[str, Facts]) -> Iterator[str]:
    seen: dict[str, str] = {}
    for name, node in nodes.items():
        other = seen.setdefault(node["hostname"].lower(), name)
        if other != name:
            yield (
                f"{name}: its host name '{node['hostname']}' is that of {other} too, and dsync tells partners "
                f"apart by it: set another with hostnamectl"
            )


def check_addresses(nodes: Mapping[str, Facts]) -> Iterator[str]:
    for name, node in nodes.items():
        if node["address_interface"] is None:
            yield (
                f"{name}: has no interface with its dovecot_address {node['address']} (it has "
                f"{', '.join(node['addresses']) or 'none'}): correct dovecot_address or ansible_host"
            )


def check_exports(nodes: Mapping[str, Facts]) -> Iterator[str]:
    for name, node in nodes.items():
        if node["mounted_by_hand"]:
            yield (
                f"{name}: its export is on the file system at {node['mounted_by_hand']}, which was mounted by hand; after a "
                f"restart the backends would find an empty folder there: add it to /etc/fstab"
            )


def check_filling(nodes: Mapping[str, Facts], filled: str) -> Iterator[str]:
    for name, node in nodes.items():
        if node["filling"] == "filling" and name != filled:
            yield (
                f"{name}: is being filled with the mail of its partner, but that run was interrupted; clients would find mail "
                f"missing: continue with playbooks/fill_node.yml -e dovecot_new_node={name}. If it is not to be filled, "
                f"remove /var/lib/mailcluster-dovecot/filling there"
            )


def check_hidden_mail(sharing: Sharing) -> Iterator[str]:
    for name, (node, declared) in sharing.items():
        if node["has_mail"]:
            yield (
                f"{name}: has mail in {declared['path']} on its own disk, which the shared storage would hide: copy it to the "
                f"storage, and move the folder away (docs/shared_storage.md, An existing server's mail)"
            )


def check_mail_accounts(sharing: Sharing) -> Iterator[str]:
    for name, (node, declared) in sharing.items():
        wanted, found = {"uid": int(declared["uid"]), "gid": int(declared["gid"])}, node["mail_account"]
        if found not in (None, wanted):
            yield (
                f"{name}: its user {declared['mail_user']} has uid {found['uid']} and gid {found['gid']}, but the mail on the "
                f"storage belongs to dovecot_mail_uid {wanted['uid']} and dovecot_mail_gid {wanted['gid']}: change the user "
                f"(usermod, groupmod), or set these two to what all nodes and the storage have"
            )


def check_clocks(sharing: Sharing, asked: tuple[float, float] | None) -> Iterator[str]:
    """A node was read some time between the controller's two looks at its own clock: what is beyond these is a difference."""
    if not asked:
        return
    before, after = asked
    for name, (node, declared) in sharing.items():
        difference = min(0, node["clock"] - before) or max(0, node["clock"] - after)
        if abs(difference) > float(declared["max_clock_difference"]):
            where = "ahead of" if difference > 0 else "behind"
            yield (
                f"{name}: its clock is {abs(difference):.0f} s {where} this machine's, and on shared storage clocks must "
                f"agree (dovecot_shared_storage_max_clock_difference is {float(declared['max_clock_difference']):g}): let "
                f"all keep time by NTP, as with chrony"
            )


CHECKS = (check_versions, check_hostnames, check_addresses, check_exports)
