# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be wrong with the nodes themselves, as C(node_info) found them."""

from __future__ import annotations


def problems(nodes, filled=""):
    """Sentences about I(nodes): node name -> result of C(node_info), reachable nodes only.

    I(filled) is the node that playbooks/fill_node.yml is at work on.
    """
    found = [sentence for check in CHECKS for sentence in check(nodes)]
    return found + list(check_filling(nodes, filled))


def check_versions(nodes):
    for name, node in nodes.items():
        version = node.get("dovecot_version")
        if version is None:
            yield (f"{name}: {node['distribution']} offers no dovecot-core: Dovecot 2.3 on Debian 12 is supported, "
                   f"check the package sources (apt-cache policy dovecot-core)")
        elif not version.startswith("2.3."):
            yield (f"{name}: Dovecot {version} ({node['distribution']}): from 2.4 on there is neither director nor "
                   f"replicator, and the configuration language is another one: use Dovecot 2.3 (Debian 12)")


def check_hostnames(nodes):
    seen = {}
    for name, node in nodes.items():
        other = seen.setdefault(node["hostname"].lower(), name)
        if other != name:
            yield (f"{name}: its host name '{node['hostname']}' is that of {other} too, and dsync tells partners "
                   f"apart by it: set another with hostnamectl")


def check_addresses(nodes):
    for name, node in nodes.items():
        if node["address_interface"] is None:
            yield (f"{name}: has no interface with its dovecot_address {node['address']} (it has "
                   f"{', '.join(node['addresses']) or 'none'}): correct dovecot_address or ansible_host")


def check_filling(nodes, filled):
    for name, node in nodes.items():
        if node["filling"] == "filling" and name != filled:
            yield (f"{name}: is being filled with the mail of its partner, which was interrupted; clients would find mail "
                   f"missing: go on with playbooks/fill_node.yml -e dovecot_new_node={name}. If it is not to be filled, "
                   f"remove /var/lib/mailcluster-dovecot/filling there")


CHECKS = (check_versions, check_hostnames, check_addresses)
