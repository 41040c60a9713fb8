# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be wrong with the nodes of active/passive pairs, as C(node_info) found them: most of all, with their devices."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ansible_collections.mailcluster.dovecot.plugins.module_utils._block_device import Device, described
from ansible_collections.mailcluster.dovecot.plugins.module_utils._sbd import FenceDisk, msgwait_of
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
            yield from _watchdog(name, nodes[name], declared)
            for disk in nodes[name]["fence_disks"]:
                yield from _fence_disk(name, disk, declared)
                yield from _strangers(name, disk, topology)
    for members in topology["partitions"].values():
        pair = [name for name in members if name in pairs]
        if len(pair) == 2:
            yield from _both(pair, nodes, pairs)
            yield from _same_fence_disks(pair, nodes)


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


def _watchdog(name: str, node: Facts, declared: Declared) -> Iterator[str]:
    if declared["fence_disks"] and not node["has_watchdog"]:
        yield (
            f"{PREFIX}watchdog: {name} has no {declared['watchdog']}, which resets a node that hangs, and without which "
            f"fence_sbd does not work: load the driver of its hardware there, or that of the kernel's own (echo softdog "
            f">/etc/modules-load.d/watchdog.conf && modprobe softdog)"
        )


def _fence_disk(name: str, disk: FenceDisk, declared: Declared) -> Iterator[str]:
    where = f"{PREFIX}fencing: {disk['path']} of {name}"
    header, wanted = disk["header"], declared["watchdog_timeout"]
    if not disk["block"]:
        yield f"{where} does not exist, or is no block device: name a disk that both nodes see (lsblk shows all)"
    elif header is None and not disk["blank"]:
        yield f"{where} {disk['found']}: fence_sbd needs an empty disk of its own. Name another"
    elif header is not None and (header["watchdog"], header["msgwait"]) != (wanted, msgwait_of(wanted)):
        yield (
            f"{PREFIX}watchdog_timeout: is {wanted}, but {disk['path']} of {name} was initialised with {header['watchdog']} (and "
            f"{header['msgwait']} for messages): set it to {header['watchdog']}; or, while Pacemaker and Corosync are stopped on "
            f"both nodes, run `sbd -d {disk['path']} -1 {wanted} -4 {msgwait_of(wanted)} create`"
        )


def _strangers(name: str, disk: FenceDisk, topology: Topology) -> Iterator[str]:
    """Nodes of another cluster, one of which may be called as one of this: it would be reset instead."""
    header = disk["header"]
    if header is None:
        return
    members = topology["partitions"][topology["nodes"][name]["partition"] or ""]
    own = [topology["nodes"][member]["hostname"] for member in members]
    others = [node for node in header["nodes"] if node not in own]
    if others:
        again = f"sbd -d {disk['path']} -1 {header['watchdog']} -4 {header['msgwait']} create"
        yield (
            f"{PREFIX}fencing: {disk['path']} of {name} has messages for {', '.join(others)}, so another cluster fences its "
            f"nodes by it: name a disk of this pair's own. If there is no such node any more, initialise the disk again while "
            f"Pacemaker and Corosync are stopped on both nodes ({again})"
        )


def _same_fence_disks(pair: list[str], nodes: Mapping[str, Facts]) -> Iterator[str]:
    found = {
        name: [disk["header"] and disk["header"]["uuid"] for disk in nodes[name]["fence_disks"]] for name in pair if name in nodes
    }
    if len(found) == 1 and any(None in uuids for uuids in found.values()):
        away = ", ".join(name for name in pair if name not in found)
        yield (
            f"{PREFIX}fencing: a disk of fence_sbd is empty, and {away} was not reached, which has to see the same: run for both "
            "nodes at once"
        )
    if len(found) == 2 and len({str(uuids) for uuids in found.values()}) > 1:
        words = " and ".join(f"{', '.join(uuid or 'none' for uuid in uuids)} on {name}" for name, uuids in found.items())
        yield (
            f"{PREFIX}fencing: the disks of fence_sbd are not the same on both nodes (UUIDs of sbd: {words}): name those that "
            "both nodes see"
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
