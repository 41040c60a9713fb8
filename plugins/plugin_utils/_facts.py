# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What C(node_info) returns of a node, as far as it is judged here."""

from __future__ import annotations

from typing import TypedDict


class Account(TypedDict):
    uid: int
    gid: int


class KernelSetting(TypedDict):
    value: str
    ours: bool


class Signature(TypedDict):
    type: str
    uuid: str


class Device(TypedDict):
    block: bool
    size: int
    uses: list[str]
    signatures: list[Signature]
    ours: bool
    ready: bool


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
    secrets: dict[str, str | None]
