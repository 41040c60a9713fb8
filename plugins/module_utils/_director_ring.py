# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Members of a running ring: who is added, who is removed, and what would split it."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable

from ansible_collections.mailcluster.dovecot.plugins.module_utils import _values
from ansible_collections.mailcluster.dovecot.plugins.module_utils._director import Ring, Words
from ansible_collections.mailcluster.dovecot.plugins.module_utils._director_client import Director
from ansible_collections.mailcluster.dovecot.plugins.module_utils._doveadm import Doveadm, InvalidValue, NotAllowed
from ansible_collections.mailcluster.dovecot.plugins.module_utils._types import Params, Result

ANSWER = 3  # seconds
Alive = Callable[[str, int], bool]


def answers(host: str, port: int) -> bool:
    """Whether something takes connections there; a ring of four or more does not show who of the others is alive."""
    try:
        socket.create_connection((host, port), ANSWER).close()
        return True
    except OSError:
        return False


def refuse(state: str, host: str, port: int, ring: Ring, alive: Alive) -> None:
    if state == "absent" and "%s:%d" % (host, port) == ring["self"]:
        raise NotAllowed("host: %s is the director that runs this: run it on another one" % host)
    if state == "absent" and alive(host, port):
        raise NotAllowed(
            "host: %s still answers at port %d, and removing it would split the ring in two: stop Dovecot there "
            "first, or say force: true" % (host, port)
        )
    if state == "present" and not alive(host, port):
        raise NotAllowed(
            "host: %s does not answer at port %d, and the ring would look for it in vain: start Dovecot there, "
            "open the port between the directors, or say force: true" % (host, port)
        )


def lines(members: Iterable[tuple[str, int]]) -> str:
    return "".join("%s:%d\n" % member for member in sorted(members))


def converge(doveadm: Doveadm, params: Params, check_mode: bool, alive: Alive = answers) -> Result:
    """The module's result."""
    host = _values.address_of("host", params["host"])
    port = params["port"]
    if port is not None and not 0 < port < 65536:
        raise InvalidValue("port: %d is not between 1 and 65535" % port)
    director = Director(doveadm, params["socket_path"])
    ring = director.wait_synced()
    members = {(member["address"], member["port"]) for member in ring["directors"] if not member["removed"]}
    own = ring["self"] or ""  # never empty once the ring is in sync
    own_port = int(own.rpartition(":")[2])
    port = port or next((known for address, known in members if address == host), own_port)

    there = (host, port) in members
    commands: list[Words] = []
    if there != (params["state"] == "present"):
        if not params["force"]:
            refuse(params["state"], host, port, ring, alive)
        commands.append(["ring", "add" if params["state"] == "present" else "remove", host, str(port)])
    after = members | {(host, port)} if params["state"] == "present" else members - {(host, port)}
    if commands and not check_mode:
        director.tell(commands[0])
        ring = director.wait_synced()
    return {
        "changed": bool(commands),
        "commands": commands,
        "ring": ring,
        "diff": {"before": lines(members), "after": lines(after)},
    }
