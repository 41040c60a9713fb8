# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of hosts where an address is needed: asked for once, on the controller, so that all nodes are told the same."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Iterable
from typing import Any

from ansible_collections.mailcluster.dovecot.plugins.plugin_utils._judgement import Judgement
from ansible_collections.mailcluster.dovecot.plugins.plugin_utils._topology import parse_address

HOST = re.compile(r"[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*\.?\Z")


def resolve(judgement: Judgement, look_up: Callable[..., Iterable[Any]] = socket.getaddrinfo) -> None:
    """Puts an address in the place of a name that has exactly one."""
    for name, values in judgement.values.items():
        text = values.get("dovecot_address")
        if not isinstance(text, str) or parse_address(text) or not HOST.match(text) or not re.search("[A-Za-z]", text):
            continue
        try:
            found = sorted({entry[4][0] for entry in look_up(text, None, socket.AF_INET, socket.SOCK_STREAM)})
        except (OSError, UnicodeError):
            found = []
        if len(found) == 1:
            values["dovecot_address"] = judgement.changed[name]["dovecot_address"] = found[0]
        elif found:
            judgement.note(
                "dovecot_address",
                f"'{text}'",
                f"has the addresses {', '.join(found)}: set the one by which the nodes reach it",
                name,
            )
