# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The passdb file of users who are held: whoever is in it gets a temporary failure from any service but doveadm."""

from __future__ import annotations

# An expression that cannot be evaluated for any service but doveadm: Dovecot then answers with a temporary failure.
REASON = "%{if;%{if;%s;eq;doveadm;1;user_held_for_move};==;1;x;x}"


def entry(user: str) -> str:
    return "%s:::::::noauthenticate=y reason=%s\n" % (user.lower(), REASON)


def held(text: str) -> list[str]:
    return [line.partition(":")[0] for line in text.splitlines() if line]


def with_user(text: str, user: str) -> str:
    return text if entry(user) in text.splitlines(keepends=True) else without_user(text, user) + entry(user)


def without_user(text: str, user: str) -> str:
    return "".join(line for line in text.splitlines(keepends=True) if line.partition(":")[0] != user.lower())
