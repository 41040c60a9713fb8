# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The secrets that all nodes of a cluster share, and what can be wrong with them.

What a node has is compared by a digest whose key is made for each run: nobody learns a secret from what is printed, nor
whether it is that of another run.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NotRequired, TypedDict

from ansible_collections.mailcluster.dovecot.plugins.plugin_utils._facts import Facts
from ansible_collections.mailcluster.dovecot.plugins.plugin_utils._topology import Topology
from ansible_collections.mailcluster.dovecot.plugins.plugin_utils._words import some

DOVEADM, PROXY_MASTER = "dovecot_doveadm_password", "dovecot_proxy_master_password"
PAIR = "dovecot_active_passive_secret"

# variable -> the nodes that share it, each with the value that it reads
Readings = Mapping[str, Sequence[tuple[str, Any]]]


class Secret(TypedDict):
    """What is declared of one, and who is to have it."""

    digest: str
    nodes: list[str]
    # where they are not the same for all
    digests: NotRequired[dict[str, str]]


def holders(topology: Topology, proxy_login: str | None) -> dict[str, list[str]]:
    """Variable -> the nodes that get it."""
    having = {
        role: [name for name, node in topology["nodes"].items() if role in node["roles"]]
        for role in ("server", "backend", "proxy")
    }
    found = {DOVEADM: having["server"]}
    if topology["proxies"] and proxy_login == "master":
        found[PROXY_MASTER] = list(dict.fromkeys(having["backend"] + having["proxy"]))
    return found


def digest(nonce: str, text: object) -> str:
    return hmac.new(nonce.encode(), str(text).encode(), hashlib.sha256).hexdigest()


def differing(readings: Readings) -> Iterator[str]:
    """Sentences about variables that are not the same for all; I(readings): variable -> (node, value) pairs."""
    for variable, pairs in readings.items():
        nodes_of: dict[Any, list[str]] = {}
        for name, value in pairs:
            nodes_of.setdefault(value, []).append(name)
        if len(nodes_of) > 1:
            rarest = min(nodes_of.values(), key=len)
            others = some(_others(pairs, rarest))
            yield (
                f"{variable}: (values not shown) is different for {some(rarest)} and for {others}, or changes at each reading, "
                f"but all nodes share it: set it once, for dovecot_cluster, to a fixed text, for example in "
                f"ansible-vault; the password lookup with /dev/null makes a new one each time"
            )


def changing(nodes: Mapping[str, Facts], declared: Mapping[str, Secret]) -> Iterator[str]:
    """Sentences about secrets that this run would change on some of the nodes only.

    I(nodes): reached node -> result of C(node_info).  I(declared): variable -> C(digest) and C(nodes), all that have it.
    """
    for variable, secret in declared.items():
        reached = [name for name in secret["nodes"] if name in nodes]
        away = [name for name in secret["nodes"] if name not in nodes]
        wanted = {name: secret.get("digests", {}).get(name, secret["digest"]) for name in reached}
        stale = [name for name in reached if nodes[name]["secrets"].get(variable) not in (None, wanted[name])]
        if stale and away:
            yield (
                f"{variable}: (value not shown) is not the one that is deployed on {some(stale)}, and {some(away)} would "
                f"keep the old one, because this run does not reach it: use the deployed value (was it generated again in this "
                f"copy of the inventory?), or, to change it, run for all nodes at once"
            )


def _others(pairs: Iterable[tuple[str, Any]], names: list[str]) -> list[str]:
    return list(dict.fromkeys(name for name, _value in pairs if name not in names)) or names
