# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One backend of a running ring: what is to be done with it, and how a drain ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Optional

from ansible_collections.mailcluster.dovecot.plugins.module_utils import _director, _values
from ansible_collections.mailcluster.dovecot.plugins.module_utils._backend_sessions import ended, sessions_at
from ansible_collections.mailcluster.dovecot.plugins.module_utils._director import Backend, Setting, Words
from ansible_collections.mailcluster.dovecot.plugins.module_utils._director_client import FLUSH, Director
from ansible_collections.mailcluster.dovecot.plugins.module_utils._doveadm import Doveadm, HostUnknown, InvalidValue, TimedOut
from ansible_collections.mailcluster.dovecot.plugins.module_utils._types import Params, Result
from ansible_collections.mailcluster.dovecot.plugins.module_utils._weights import FormerWeights

POLL = 1  # seconds
# How many sessions a host has, None when it does not tell.
Sessions = Callable[[Doveadm, str], Optional[int]]


class DrainTimedOut(TimedOut):
    """Somebody is still there; I(found) is what the module returns beside the message."""

    def __init__(self, message: str, found: Result) -> None:
        super().__init__(message)
        self.found = found

    def details(self) -> Result:
        return dict(super().details(), error=TimedOut.name(), **self.found)


def check(params: Params) -> str:
    if params["tag"] is not None:
        _values.tag_of("tag", params["tag"])
    if params["weight"] is not None:
        _values.weight_of("weight", params["weight"])
        if params["state"] != "up":
            raise InvalidValue("weight: goes with state: up only; state: drained sets it to 0 by itself")
    if params["drain_timeout"] < 0:
        raise InvalidValue("drain_timeout: %d is below 0: give seconds, 0 does not wait" % params["drain_timeout"])
    return _values.address_of("host", params["host"])


def wanted(params: Params, host: str, current: dict[str, Backend], former: FormerWeights) -> Setting | None:
    """The backend's tag, weight and state as they shall be; None when it shall be absent."""
    live: Setting | None = current.get(host)
    state = params["state"]
    if state == "absent":
        return None
    if live is None:
        if state != "up":
            raise HostUnknown("host: the ring has no backend %s, only %s" % (host, ", ".join(sorted(current)) or "none"))
        tags = sorted({backend["tag"] for backend in current.values()} - {""})
        if params["tag"] is None and tags:
            raise InvalidValue(
                "tag: missing, and %s is new to a ring with the tags %s: say to which it belongs" % (host, ", ".join(tags))
            )
        live = {"tag": "", "weight": _director.DEFAULT_WEIGHT, "state": "up"}
    tag = live["tag"] if params["tag"] is None else params["tag"]
    if state == "down":
        return {"tag": tag, "weight": live["weight"], "state": "down"}
    if state == "drained":
        return {"tag": tag, "weight": 0, "state": live["state"]}
    weight = live["weight"] if params["weight"] is None else params["weight"]
    if weight == 0 and params["weight"] is None:
        weight = former.of(host)
        if weight is None:
            raise InvalidValue(
                "weight: missing: %s is drained, and this node has not drained it, so that it cannot know "
                "the weight from before. Give it (100 is usual), or run this where it was drained" % host
            )
    return {"tag": tag, "weight": weight, "state": "up"}


def wait_until_empty(doveadm: Doveadm, director: Director, host: str, seconds: float, sessions: Sessions) -> tuple[int, str]:
    """C((number, of what)) is left after I(seconds) at the most."""
    deadline = doveadm.clock() + seconds
    while True:
        left, counted = sessions(doveadm, host), "sessions"
        if left is None:
            left, counted = users_of(director, host), "users"
        if not left or doveadm.clock() >= deadline:
            return left, counted
        doveadm.sleep(POLL)


def users_of(director: Director, host: str) -> int:
    backend = director.backends().get(host)
    return 0 if backend is None else backend["users"]


def converge(doveadm: Doveadm, params: Params, check_mode: bool, sessions: Sessions = sessions_at) -> Result:
    """The module's result."""
    host = check(params)
    former = FormerWeights(params["state_dir"])
    director = Director(doveadm, params["socket_path"])
    director.wait_synced()
    current = director.backends()
    desired = wanted(params, host, current, former)
    if desired is None:
        commands: list[Words] = [["remove", host]] if host in current else []
    else:
        commands = _director.plan({host: desired}, current, restore=True)
    after = _director.apply_plan(commands, current)
    if not params["force"]:
        _director.refuse_to_empty(current, after)

    drains = params["state"] == "drained"
    remembered = current[host]["weight"] if drains and current[host]["weight"] else former.of(host)
    if not check_mode:
        if drains and current[host]["weight"]:
            # before the ring is told: an interruption in between must not lose it
            former.remember(host, current[host]["weight"])
        for words in commands:
            director.tell(words)
        if not drains and params["state"] != "down":
            former.forget(host)
            remembered = None

    remaining, counted, how = 0, "", params["flush"]
    if drains and params["drain_timeout"] and not check_mode:
        remaining, counted = wait_until_empty(doveadm, director, host, params["drain_timeout"], sessions)
        if how == "none" and not remaining and counted == "sessions":
            how = "kick"  # nobody is there to be cut, and nobody must come back
        doveadm.start_anew()
    there = sessions(doveadm, host) if how == "kick" and desired and not check_mode else 0
    flushed = clear(director, host, how, after, check_mode) if desired else 0
    if flushed:
        commands = commands + [FLUSH[how] + [host]]
    done = {
        "commands": [[str(word) for word in words] for words in commands],
        "former_weight": remembered,
        "flushed": flushed,
        **({} if check_mode else {"ended": ended(doveadm, there, lambda: sessions(doveadm, host)) if there != 0 else 0}),
        "diff": _director.diff(current, after, commands),
    }
    if remaining and how == "none":
        raise DrainTimedOut(
            "%d of its %s are still on %s. It is drained, nobody new is sent there: run this again to wait on, raise "
            "drain_timeout, or say flush: kick" % (remaining, counted, host),
            dict(done, remaining=remaining, counted=counted),
        )
    return dict(done, changed=bool(commands), backend=after.get(host) if check_mode else director.backends().get(host))


def clear(director: Director, host: str, how: str, after: dict[str, Backend], check_mode: bool) -> int:
    """Flushes those who are still assigned to the host; how many that were, or would be."""
    if how == "none":
        return 0
    return director.would_flush(how, after, host) if check_mode else director.flush(how, host)
