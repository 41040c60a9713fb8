# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of users that every service can look up, and that a folder can have."""

from __future__ import annotations

import re

# Dovecot's auth_username_chars; a login with any other sign fails before the user is looked up.
STRANGE = re.compile(r"[^A-Za-z0-9.@_-]")


def problem(name: str) -> str:
    """What is wrong, or nothing."""
    found = STRANGE.search(name)
    local, at, domain = name.partition("@")
    if found:
        sign = found.group(0)
        sign = sign if sign.isprintable() else repr(sign)
        return f"with {sign} in it, which no login can have: use letters, digits, '.', '_' and '-'"
    if "@" in domain:
        return "with two '@': write it as NAME@DOMAIN"
    if not local or (at and not domain):
        return "of which one side of '@' is empty: write it as NAME@DOMAIN"
    if {local, domain} & {".", ".."} or domain.startswith(".") or len(name) > 250:
        return "which no folder can have: write it as NAME@DOMAIN"
    return ""
