# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a director sends a user, and how that is changed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Optional

from ansible_collections.mailcluster.dovecot.plugins.module_utils import _values
from ansible_collections.mailcluster.dovecot.plugins.module_utils._backend_sessions import ended, sessions_at
from ansible_collections.mailcluster.dovecot.plugins.module_utils._director import Backend, Words
from ansible_collections.mailcluster.dovecot.plugins.module_utils._director_client import Director
from ansible_collections.mailcluster.dovecot.plugins.module_utils._doveadm import Doveadm, HostUnknown, InvalidValue, NotAllowed
from ansible_collections.mailcluster.dovecot.plugins.module_utils._types import Params, Result
from ansible_collections.mailcluster.dovecot.plugins.module_utils._users import passdb_field

# How many sessions a user has on a host, None when it does not tell.
SessionsOf = Callable[[Doveadm, str, str], Optional[int]]


def tag_of(doveadm: Doveadm, params: Params, backends: dict[str, Backend]) -> str:
    """The tag in which to look for the user."""
    if params["tag"] is not None:
        return params["tag"]
    told = passdb_field(doveadm, params["user"], "director_tag")
    tags = sorted({backend["tag"] for backend in backends.values()})
    if told is not None:
        return told
    if len(tags) == 1:
        return tags[0]
    raise InvalidValue(
        "tag: missing: the password database has no director_tag for %s, and the backends have the tags %s: "
        "say which" % (params["user"], ", ".join(tags) or "(there are no backends)")
    )


def refuse_backend(host: str, tag: str, user: str, backends: dict[str, Backend]) -> None:
    if host not in backends:
        raise HostUnknown("backend: the ring has no backend %s, only %s" % (host, ", ".join(sorted(backends)) or "none"))
    if backends[host]["tag"] != tag:
        same = ", ".join(sorted(other for other, backend in backends.items() if backend["tag"] == tag)) or "none"
        raise NotAllowed(
            "backend: %s has the tag '%s', but %s has the tag '%s' and would never be sent there: choose of %s"
            % (host, backends[host]["tag"], user, tag, same)
        )


def converge(doveadm: Doveadm, params: Params, check_mode: bool, sessions_of: SessionsOf = sessions_at) -> Result:
    """The module's result."""
    user = _values.user_of("user", params["user"])
    if params["tag"] is not None:
        _values.tag_of("tag", params["tag"])
    host = None if params["backend"] is None else _values.address_of("backend", params["backend"])
    director = Director(doveadm, params["socket_path"])
    director.wait_synced()
    backends = director.backends()
    tag = tag_of(doveadm, params, backends)
    if host is not None:
        refuse_backend(host, tag, user, backends)

    place = director.user(user, tag)
    sessions = [session for session in director.sessions() if session["user"].lower() == user.lower()]
    before = place["backend"]
    commands: list[Words] = []
    if host is not None and host != before:
        commands.append(["move", "--", user, host])
    elif params["kick"] and sessions:
        # a move has kicked already
        commands.append(["kick", "--", user])
    number: int | None = 0

    def count() -> int | None:
        return sessions_of(doveadm, before, user) if before else 0

    if not check_mode:
        if params["kick"] and not commands:
            # there may be sessions through other directors
            told: list[Words] = [["kick", "--", user]]
        else:
            told = commands
        there = count() if told else 0
        for words in told:
            director.tell(words)
        number = ended(doveadm, there, count) if there != 0 else 0
        if host is not None and host != before:
            place = director.user(user, tag)
    elif host is not None and host != before:
        place = {**place, "backend": host}
    return {
        "changed": bool(commands),
        "user": user,
        "tag": tag,
        "sessions": sessions,
        "commands": commands,
        **({} if check_mode else {"ended": number}),
        "diff": {
            "before": "%s on %s\n" % (user, before or "no backend"),
            "after": "%s on %s\n" % (user, place["backend"] or "no backend"),
        },
        **place,
    }
