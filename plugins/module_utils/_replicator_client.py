# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Asks and tells the replicator of this node.  Each node of a pair has its own, with its own queue."""

from __future__ import annotations

from ansible_collections.mailcluster.dovecot.plugins.module_utils import _replicator
from ansible_collections.mailcluster.dovecot.plugins.module_utils._doveadm import Doveadm, UserUnknown
from ansible_collections.mailcluster.dovecot.plugins.module_utils._replicator import Connection, User


class Replicator:
    def __init__(self, doveadm: Doveadm, socket_path: str | None = None) -> None:
        self._doveadm = doveadm
        self._socket = ["-a", socket_path] if socket_path else []

    def _words(self, command: str, *values: str) -> list[str]:
        return ["replicator", command] + self._socket + list(values)

    def summary(self) -> dict[str, int]:
        return _replicator.parse_summary(self._doveadm.rows(*self._words("status")))

    def users(self, mask: str) -> dict[str, User]:
        """Name to User, of those known users who match I(mask)."""
        return _replicator.parse_users(self._doveadm.rows(*self._words("status", "--", mask), as_row=_replicator.user_row))

    def connections(self) -> list[Connection]:
        return _replicator.parse_connections(self._doveadm.rows(*self._words("dsync-status")))

    def add(self, mask: str) -> None:
        self._doveadm.write(*self._words("add", "--", mask))

    def remove(self, user: str) -> None:
        """No error when the user is gone already."""
        try:
            self._doveadm.write(*self._words("remove", "--", user))
        except UserUnknown:
            pass

    def replicate(self, mask: str, priority: str) -> None:
        """Queues the users; never with -f, which in 2.3 notes a full pass down and makes none."""
        self._doveadm.write(*self._words("replicate", "-p", priority, "--", mask))
