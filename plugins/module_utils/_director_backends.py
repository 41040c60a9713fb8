# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Brings the list of backends of a running ring to what is declared."""

from __future__ import annotations

from ansible_collections.mailcluster.dovecot.plugins.module_utils import _director, _values
from ansible_collections.mailcluster.dovecot.plugins.module_utils._director import Setting
from ansible_collections.mailcluster.dovecot.plugins.module_utils._director_client import Director
from ansible_collections.mailcluster.dovecot.plugins.module_utils._doveadm import Doveadm, InvalidValue, NotInstalled, NotRunning
from ansible_collections.mailcluster.dovecot.plugins.module_utils._types import Params, Result


def declared(params: Params) -> dict[str, Setting]:
    """Host to tag, weight and state; refuses what cannot be meant."""
    hosts: dict[str, Setting] = {}
    for number, item in enumerate(params["backends"], 1):
        option = "backends[%d]" % number
        host = _values.address_of(option + ".host", item["host"])
        if host in hosts:
            raise InvalidValue("%s.host: %s is listed twice: remove one" % (option, host))
        hosts[host] = {
            "tag": _values.tag_of(option + ".tag", item["tag"]),
            "weight": _values.weight_of(option + ".weight", item["weight"]),
            "state": item["state"],
        }
    if not hosts and params["exclusive"]:
        raise InvalidValue(
            "backends: is empty, and with exclusive: true that would leave the ring without any backend: "
            "list those that shall stay"
        )
    return hosts


def converge(doveadm: Doveadm, params: Params, check_mode: bool) -> Result:
    """The module's result."""
    desired = declared(params)
    director = Director(doveadm, params["socket_path"])
    try:
        director.wait_synced()
        current = director.backends()
    except (NotRunning, NotInstalled):
        if not check_mode:
            raise
        # the first run in check mode: it would be installed and running by now
        current = {}
    commands = _director.plan(desired, current, params["exclusive"], params["restore"])
    after = _director.apply_plan(commands, current)
    flushed = 0
    if not check_mode:
        for words in commands:
            director.tell(words)
    if params["flush"] != "none" and current:
        flushed = director.would_flush(params["flush"], after) if check_mode else director.flush(params["flush"])
    return {
        "changed": bool(commands or flushed),
        "commands": [[str(word) for word in words] for words in commands],
        "backends": after,
        "kept": [] if params["restore"] else _director.kept(desired, current),
        "retagged": _director.retagged(commands),
        "flushed": flushed,
        "diff": _director.diff(current, after, commands),
    }
