#!/usr/bin/python
# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: director_backend
short_description: One backend of a running director ring - up, down, drained, absent
description:
  - Brings one backend of the ring into the wanted state. Run it on one director of the ring; any will do.
  - Waits for the ring to be in sync before it reads.
  - A drain shows every few seconds what is left, and for how long it waits.
version_added: 0.1.0
author: mailcluster.dovecot contributors (@mailcluster)
extends_documentation_fragment:
  - mailcluster.dovecot.attributes
  - mailcluster.dovecot.attributes.action
  - mailcluster.dovecot.attributes.platform
  - mailcluster.dovecot.doveadm
  - mailcluster.dovecot.doveadm.director
attributes:
  action:
    support: full
  check_mode:
    support: full
    details: It does not wait for users to leave. Users who are there are reported as flushed if O(flush) says so.
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  host:
    description: Address, IPv4 or IPv6, or a name that the node resolves to one address.
    type: str
    required: true
  state:
    description:
      - V(up) sends users to it, with O(weight) if given, otherwise with the weight it had before it was drained. It is added
        to the ring if it is missing.
      - V(down) stops sending new users to it at once. Those who are assigned to it stay, unless O(flush) says otherwise. A
        monitor that took the backend down itself may raise it again. V(drained) is safe from that.
      - V(drained) sets the weight to 0, so that new users go elsewhere at once, waits for up to O(drain_timeout) seconds
        until nobody has a session on it, and remembers the former weight.
      - V(absent) removes it from the ring.
    type: str
    choices: [up, down, drained, absent]
    default: up
  tag:
    description:
      - The partition's name. Needed to add a backend to a ring that uses tags.
      - A backend that has another tag is removed and added again, and its users are assigned again.
    type: str
  weight:
    description: Share of the users within the tag (Dovecot's vhosts count), 0 to 1000. Only for O(state=up).
    type: int
  drain_timeout:
    description:
      - For O(state=drained), the longest time to wait until it has no sessions, in seconds. 0 does not wait.
      - The backend itself is asked for its IMAP, POP3 and ManageSieve sessions, since each director knows only its own. As
        soon as there is none, those who are still assigned to it are flushed, else their next login would lead there.
      - It is asked at C(doveadm_port) with C(doveadm_password), both of this director's configuration. Where it does not
        answer, or only with TLS, the users that the ring has assigned to it are counted instead. The ring forgets a user
        C(director_user_expire) (15 minutes by default) after the last session.
    type: int
    default: 60
  flush:
    description:
      - What happens to users who are still assigned to the backend, with O(state=drained) after O(drain_timeout). Users
        without a session do not matter then.
      - V(none) leaves them. A drain for which O(drain_timeout) was too short then fails, and the backend stays drained.
      - V(kick) ends their sessions, and their next login goes elsewhere.
      - V(forget) only forgets where they are. Their sessions continue, so that one user may be on two backends at once.
    type: str
    choices: [none, kick, forget]
    default: none
  force:
    description: Whether the last backend of a tag that takes users may be taken out of use.
    type: bool
    default: false
  state_dir:
    description: Where this node remembers the weights of drained backends.
    type: path
    default: /var/lib/mailcluster-dovecot
"""

EXAMPLES = r"""
- name: Take a backend out for work, whoever is still on it after a minute is kicked
  mailcluster.dovecot.director_backend:
    host: 198.51.100.31
    state: drained
    flush: kick

- name: Give people half an hour
  mailcluster.dovecot.director_backend:
    host: 198.51.100.31
    state: drained
    drain_timeout: 1800
    flush: kick

- name: Bring it back with the weight it had
  mailcluster.dovecot.director_backend:
    host: 198.51.100.31
    state: up

- name: Give it half of the share
  mailcluster.dovecot.director_backend:
    host: 198.51.100.31
    weight: 50

- name: Add a backend to partition b
  mailcluster.dovecot.director_backend:
    host: 198.51.100.43
    tag: b
    weight: 100

- name: Remove it
  mailcluster.dovecot.director_backend:
    host: 198.51.100.43
    state: absent
"""

RETURN = r"""
backend:
  description: The backend as it is now, or would be in check mode. Null when it is absent.
  returned: success
  type: dict
  sample: {"tag": "a", "weight": 0, "state": "up", "users": 0}
former_weight:
  description: The weight that is remembered for O(state=up). Null when none is.
  returned: success
  type: int
  sample: 100
flushed:
  description: How many users were flushed, or would be.
  returned: success
  type: int
  sample: 2
ended:
  description:
    - How many sessions on the backend O(flush=kick) has ended, as the backend itself tells five seconds later at the most.
      Null when it cannot be asked, 0 without a kick.
  returned: success, not in check mode
  type: int
  sample: 3
commands:
  description: What the ring was told, or would be told, as words after C(doveadm director).
  returned: success
  type: list
  elements: list
  sample: [["update", "198.51.100.31", "0"], ["flush", "198.51.100.31"]]
remaining:
  description: How many sessions, or users, were left when O(drain_timeout) was over.
  returned: when a drain took too long
  type: int
  sample: 2
counted:
  description: What RV(remaining) counts, V(sessions) or V(users).
  returned: when a drain took too long
  type: str
  sample: sessions
"""

from collections.abc import Callable
from typing import Optional

from ansible_collections.mailcluster.dovecot.plugins.module_utils import _director, _module, _values
from ansible_collections.mailcluster.dovecot.plugins.module_utils._backend_sessions import ended, sessions_at
from ansible_collections.mailcluster.dovecot.plugins.module_utils._director import Backend, Setting, Words
from ansible_collections.mailcluster.dovecot.plugins.module_utils._director_client import FLUSH, Director
from ansible_collections.mailcluster.dovecot.plugins.module_utils._doveadm import Doveadm, HostUnknown, InvalidValue, TimedOut
from ansible_collections.mailcluster.dovecot.plugins.module_utils._types import Options, Params, Result
from ansible_collections.mailcluster.dovecot.plugins.module_utils._weights import FormerWeights

OPTIONS: Options = {
    "host": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["up", "down", "drained", "absent"], "default": "up"},
    "tag": {"type": "str"},
    "weight": {"type": "int"},
    "drain_timeout": {"type": "int", "default": 60},
    "flush": {"type": "str", "choices": ["none", "kick", "forget"], "default": "none"},
    "force": {"type": "bool", "default": False},
    "state_dir": {"type": "path", "default": "/var/lib/mailcluster-dovecot"},
}
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


def main() -> None:
    _module.run(converge, dict(_module.SOCKET, **OPTIONS))


if __name__ == "__main__":
    main()
