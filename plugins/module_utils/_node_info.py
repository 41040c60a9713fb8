# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads a node once, before anything is changed there."""

from __future__ import annotations

import os
import socket
import time

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.mailcluster.dovecot.plugins.module_utils import _block_device
from ansible_collections.mailcluster.dovecot.plugins.module_utils._config_record import record
from ansible_collections.mailcluster.dovecot.plugins.module_utils._errors import Failure
from ansible_collections.mailcluster.dovecot.plugins.module_utils._mounts import mounted_at
from ansible_collections.mailcluster.dovecot.plugins.module_utils._node import (
    FILLING,
    UnitState,
    account,
    candidate_version,
    certificate,
    deployed,
    digest,
    first_line,
    installed_versions,
    interface_addresses,
    kernel,
    mounted_by_hand,
    parse_os_release,
    space,
    states,
    upstream_version,
    version_of_release,
)
from ansible_collections.mailcluster.dovecot.plugins.module_utils._types import Params, Result


def is_idle(name: str, state: UnitState, params: Params) -> bool:
    """Whether a unit is not as it should be."""
    enabled = state.file == "enabled"
    if name in params["started_by_cluster"]:
        return enabled
    return not enabled or (state.active != "active" and name not in params["started_by_unit"])


def work(module: AnsibleModule) -> Result:
    module.run_command_environ_update = {"LC_ALL": "C"}
    wanted = module.params["packages"]
    try:
        with open("/etc/os-release", encoding="utf-8") as stream:
            os_release = parse_os_release(stream.read())
    except OSError as error:
        raise Failure("cannot read /etc/os-release (%s): only the Debian family is supported" % error) from error
    if not module.get_bin_path("dpkg-query"):
        raise Failure("%s has no dpkg: only the Debian family is supported" % os_release.get("PRETTY_NAME"))
    rc, listing, stderr = module.run_command(["ip", "-json", "address"])
    if rc != 0:
        raise Failure("'ip -json address' failed (%s): install iproute2" % stderr.strip())

    installed = installed_versions(module, sorted(set(wanted) | {"dovecot-core"}))
    version = upstream_version(installed.get("dovecot-core"))
    addresses = interface_addresses(listing)
    interfaces = {address: interface for interface, address in addresses}
    units = states(module, module.params["units"])
    mail_home = module.params["mail_home"] or os.devnull
    with open("/proc/self/mountinfo", encoding="utf-8") as stream:
        mountinfo = stream.read()
    export = module.params["export"]
    nonce = module.params["nonce"] or ""
    return {
        "changed": False,
        "config": record(nonce) if nonce else None,
        "dovecot_version": version or candidate_version(module) or version_of_release(os_release),
        "distribution": os_release.get("PRETTY_NAME", "unknown"),
        "hostname": socket.gethostname(),
        "address": module.params["address"],
        "address_interface": interfaces.get(module.params["address"]),
        "addresses": [address for _interface, address in addresses],
        "certificate": certificate(module, module.params["certificate"]),
        "clock": time.time(),
        "cores": len(os.sched_getaffinity(0)),
        "has_mail": not mounted_at(mountinfo, mail_home) and any(files for _folder, _folders, files in os.walk(mail_home)),
        "kernel": kernel(module.params["kernel"]),
        "mail_account": account(module.params["mail_user"] or ""),
        "mounted_by_hand": mounted_by_hand(module, mountinfo, export) if export else None,
        "holds_vip": module.params["vip"] in interfaces,
        "filling": first_line(FILLING),
        "device": _block_device.read(module.run_command, module.params["device"]) if module.params["device"] else None,
        "fence_disks": [_block_device.read_fence_disk(module.run_command, disk) for disk in module.params["fence_disks"]],
        "has_watchdog": os.path.exists(module.params["watchdog"] or os.devnull),
        "idle_units": [name for name, state in units.items() if is_idle(name, state, module.params)],
        "inactive_units": [name for name, (active, _file) in units.items() if active != "active"],
        "secrets": {name: digest(nonce, deployed(name)) for name in module.params["secrets"]},
        "space": space(),
        "missing_packages": [package for package in wanted if package not in installed],
    }
