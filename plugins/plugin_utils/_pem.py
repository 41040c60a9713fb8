# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a PEM text has in it."""

from __future__ import annotations

import re

PRIVATE_KEY = re.compile(r"-----BEGIN ([A-Z0-9]+ )*PRIVATE KEY-----")


def has_private_key(text: object) -> bool:
    return bool(PRIVATE_KEY.search(str(text or "")))
