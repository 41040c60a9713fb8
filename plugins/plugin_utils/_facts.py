# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What C(node_info) returns of a node, as far as it is judged here."""

from __future__ import annotations

from typing import TypedDict

from ansible_collections.mailcluster.dovecot.plugins.module_utils._block_device import Device
from ansible_collections.mailcluster.dovecot.plugins.module_utils._node import Account
from ansible_collections.mailcluster.dovecot.plugins.module_utils._sbd import FenceDisk


class Facts(TypedDict):
    dovecot_version: str | None
    distribution: str
    hostname: str
    address: str
    addresses: list[str]
    address_interface: str | None
    mounted_by_hand: str | None
    filling: str | None
    has_mail: bool
    mail_account: Account | None
    clock: float
    inactive_units: list[str]
    device: Device | None
    fence_disks: list[FenceDisk]
    has_watchdog: bool
    secrets: dict[str, str | None]
