#!/usr/bin/python
# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: director_ring
short_description: Members of a running director ring
description:
  - Adds a director to the running ring, or removes one that is permanently dead.
  - The ring forgets this at its next start, so make the same change in the configuration (C(director_servers)).
  - A director that still answers at its ring port is not removed, because that would split the ring. Stop its Dovecot
    first.
version_added: 0.1.0
author: mailcluster.dovecot contributors (@mailcluster)
extends_documentation_fragment:
  - mailcluster.dovecot.attributes
  - mailcluster.dovecot.attributes.platform
  - mailcluster.dovecot.doveadm
  - mailcluster.dovecot.doveadm.director
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  host:
    description: The director's ring address, IPv4 or IPv6, or a name that the node resolves to one address.
    type: str
    required: true
  port:
    description: Its ring port. Without it, the port of the director that runs this.
    type: int
  state:
    description: Whether it shall be a member.
    type: str
    choices: [present, absent]
    default: present
  force:
    description: Whether to remove a director that still answers, and to add one that does not.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: A new director joins
  mailcluster.dovecot.director_ring:
    host: 198.51.100.23

- name: A director that died is forgotten
  mailcluster.dovecot.director_ring:
    host: 198.51.100.23
    state: absent
"""

RETURN = r"""
ring:
  description: The ring as this director sees it now, as RV(mailcluster.dovecot.director_info#module:ring).
  returned: success
  type: dict
  sample: {"synced": true, "status": "ring synced", "self": "198.51.100.21:9090", "directors": []}
commands:
  description: What the ring was told, or would be told, as words after C(doveadm director).
  returned: success
  type: list
  elements: list
  sample: [["ring", "add", "198.51.100.23", "9090"]]
"""

import socket
from collections.abc import Callable, Iterable

from ansible_collections.mailcluster.dovecot.plugins.module_utils import _module, _values
from ansible_collections.mailcluster.dovecot.plugins.module_utils._director import Ring, Words
from ansible_collections.mailcluster.dovecot.plugins.module_utils._director_client import Director
from ansible_collections.mailcluster.dovecot.plugins.module_utils._doveadm import Doveadm, InvalidValue, NotAllowed
from ansible_collections.mailcluster.dovecot.plugins.module_utils._types import Options, Params, Result

OPTIONS: Options = {
    "host": {"type": "str", "required": True},
    "port": {"type": "int"},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "force": {"type": "bool", "default": False},
}
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


def main() -> None:
    _module.run(converge, dict(_module.SOCKET, **OPTIONS))


if __name__ == "__main__":
    main()
