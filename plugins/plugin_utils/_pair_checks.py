# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be wrong with the nodes of active/passive pairs, as C(node_info) found them: most of all, with their devices."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ansible_collections.mailcluster.dovecot.plugins.module_utils._block_device import Device, described
from ansible_collections.mailcluster.dovecot.plugins.plugin_utils._active_passive import PREFIX, Declared
from ansible_collections.mailcluster.dovecot.plugins.plugin_utils._facts import Facts
from ansible_collections.mailcluster.dovecot.plugins.plugin_utils._topology import Topology


def problems(nodes: Mapping[str, Facts], pairs: Mapping[str, Declared], topology: Topology | None) -> Iterator[str]:
    """Sentences about I(nodes), which were reached.  I(pairs): node -> what is declared of it."""
    if topology is None:
        return
    for name, declared in pairs.items():
        if name in nodes:
            yield from _host_name(name, nodes[name], topology)
            yield from _hidden_mail(name, nodes[name])
            yield from _device(name, nodes[name]["device"], declared)
    for members in topology["partitions"].values():
        pair = [name for name in members if name in pairs]
        if len(pair) == 2:
            yield from _both(pair, nodes, pairs)


def _host_name(name: str, node: Facts, topology: Topology) -> Iterator[str]:
    declared = topology["nodes"][name]["hostname"]
    if node["hostname"] != declared:
        yield (
            f"{name}: its host name is '{node['hostname']}', but Pacemaker and DRBD know it as '{declared}' (dovecot_hostname): "
            f"run hostnamectl set-hostname {declared} there"
        )


def _hidden_mail(name: str, node: Facts) -> Iterator[str]:
    if node["has_mail"]:
        yield (
            f"{name}: has mail on its own disk where the pair's file system is to be mounted, which would hide it: move it away, "
            "and copy it to the pair's storage afterwards (docs/active_passive.md, From a single server)"
        )


def _device(name: str, device: Device | None, declared: Declared) -> Iterator[str]:
    if device is None:
        return
    where = f"{PREFIX}device: {declared['device']} of {name}"
    if not device["block"]:
        yield f"{where} does not exist, or is no block device: name a volume or a LUN that is there (lsblk shows all)"
    elif not device["ours"] and device["uses"]:
        yield f"{where} {' and '.join(device['uses'])}: name another that nobody uses"
    elif not device["ours"] and device["signatures"] and not declared["existing_filesystem"]:
        found = described(device["signatures"])
        yield (
            f"{where} is not empty, it has {found}: name another. If nobody needs that any more, empty it with `wipefs --all "
            f"{declared['device']}` there. If it is the mail of this pair, as after a new installation of both nodes, set "
            f"{PREFIX}existing_filesystem"
        )


def _both(pair: list[str], nodes: Mapping[str, Facts], pairs: Mapping[str, Declared]) -> Iterator[str]:
    devices = {
        name: device for name in pair if name in nodes and (device := nodes[name]["device"]) is not None and device["block"]
    }
    new = [name for name, device in devices.items() if not device["ready"]]
    away = [name for name in pair if name not in nodes]
    if new and away:
        yield (
            f"{new[0]}: has no mail of the pair yet, and {away[0]} was not reached, which may have it: run for both nodes at "
            "once, nothing is made for one of them alone"
        )
    sizes = {name: device["size"] for name, device in devices.items()}
    if new and len(set(sizes.values())) > 1:
        words = " and ".join(f"{size} bytes on {name}" for name, size in sizes.items())
        yield f"{PREFIX}device: {pairs[pair[0]]['device']} has {words}: give both nodes one of the same size"
