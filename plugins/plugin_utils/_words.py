# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Words that many sentences have."""

from __future__ import annotations

import datetime
from collections.abc import Sequence


def some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} others" if len(names) > 3 else "")


def type_of(value: object) -> str:
    """What YAML calls it; Ansible has classes of its own."""
    kinds = (
        (bool, "truth value"),
        (str, "text"),
        ((int, float), "number"),
        (dict, "mapping"),
        ((list, tuple), "list"),
        (datetime.date, "date"),
    )
    return next((name for kind, name in kinds if isinstance(value, kind)), "value")
