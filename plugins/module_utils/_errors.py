# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What all errors of the modules have in common."""

from __future__ import annotations

from typing import Any


class Failure(Exception):
    """A refusal or a failure, in words for the user; I(fields) become fields of the module's result."""

    # Whether something was done before, where that is known.
    changed: bool | None = None

    def __init__(self, message: str, **fields: Any) -> None:
        super().__init__(message)
        self.message = message
        self.fields = fields

    def details(self) -> dict[str, Any]:
        """What a failed module returns beside its message."""
        return self.fields
