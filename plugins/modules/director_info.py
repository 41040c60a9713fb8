#!/usr/bin/python
# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: director_info
short_description: State of a director ring, its backends and users, and how it differs from the configuration
description:
  - Reads the output of C(doveadm director ring status), C(status), C(dump) and C(map), and returns it as structured data.
  - All but RV(ring) is the same on every director of a ring in sync.
version_added: 0.1.0
author: mailcluster.dovecot contributors (@mailcluster)
extends_documentation_fragment:
  - mailcluster.dovecot.attributes
  - mailcluster.dovecot.attributes.no_diff
  - mailcluster.dovecot.attributes.platform
  - mailcluster.dovecot.doveadm
  - mailcluster.dovecot.doveadm.director
options:
  wait:
    description:
      - Whether to wait for the ring to be in sync. Without waiting, RV(ring) is the current state, and the rest may be what
        this director's file says.
    type: bool
    default: true
  map:
    description: Whether to read which user is on which backend.
    type: bool
    default: false
  backend:
    description: With O(map), only the users of this backend. An address, or a name that the node resolves to one address.
    type: str
"""

EXAMPLES = r"""
- name: Read the ring
  mailcluster.dovecot.director_info:
  register: director

- name: Show what a restart of all directors would lose
  ansible.builtin.debug:
    var: director.drift

- name: Who is on this backend?
  mailcluster.dovecot.director_info:
    map: true
    backend: 198.51.100.31
  register: director

- name: Show them
  ansible.builtin.debug:
    msg: "{{ director.map['198.51.100.31'] | default([]) | join(', ') }}"
"""

RETURN = r"""
ring:
  description: The ring as this director sees it.
  returned: success
  type: dict
  contains:
    synced:
      description: Whether this director agrees with the ring.
      type: bool
    status:
      description: The same in Dovecot's words.
      type: str
      sample: ring synced
    self:
      description: Address and port of this director.
      type: str
      sample: 198.51.100.21:9090
    directors:
      description:
        - All members, by C(address) and C(port), with the C(connections) that this director has to it (none to itself, and
          none to those that are not next to it in a ring of four or more), when it C(last_failed), and whether it was
          C(removed).
      type: list
      elements: dict
      sample: [{"address": "198.51.100.22", "port": 9090, "connections": [{"type": "right", "status": "synced"}],
                "last_failed": null, "removed": false}]
backends:
  description: The backends by address.
  returned: success
  type: dict
  sample: {"198.51.100.31": {"tag": "a", "weight": 100, "state": "up", "users": 12}}
declared:
  description: The same in the form that O(mailcluster.dovecot.director_backends#module:backends) takes, to be kept and restored.
  returned: success
  type: list
  elements: dict
  sample: [{"host": "198.51.100.31", "tag": "a", "weight": 100, "state": "up"}]
drift:
  description:
    - How the live list differs from this node's configuration file, which is what counts when all directors have been
      stopped at once. C(what) is V(missing) (in the file only), V(extra) (in the ring only), V(tag), V(weight) or V(state).
    - The file has no weights and no hosts that are down. There, 100 and V(up) are what a start makes.
  returned: success
  type: list
  elements: dict
  sample: [{"host": "198.51.100.31", "what": "weight", "live": 0, "configured": 100}]
map:
  description: Users by backend, of those who are assigned now. Null without O(map=true).
  returned: success
  type: dict
  sample: {"198.51.100.31": ["alice@example.org"]}
unknown:
  description: By backend, hashes of assigned users who are not in the list of the user database. Null without O(map=true).
  returned: success
  type: dict
  sample: {"198.51.100.31": ["4227319470"]}
"""

from ansible_collections.mailcluster.dovecot.plugins.module_utils import _director, _module, _values
from ansible_collections.mailcluster.dovecot.plugins.module_utils._director_client import Director
from ansible_collections.mailcluster.dovecot.plugins.module_utils._doveadm import Doveadm, HostUnknown, InvalidValue
from ansible_collections.mailcluster.dovecot.plugins.module_utils._types import Options, Params, Result

OPTIONS: Options = {
    "wait": {"type": "bool", "default": True},
    "map": {"type": "bool", "default": False},
    "backend": {"type": "str"},
}


def configured(doveadm: Doveadm) -> dict[str, str]:
    """Host to tag, as the configuration file of this node has them."""
    text = doveadm.settings("director_mail_servers")
    return _director.parse_configured(text, lambda name: _values.address_of("director_mail_servers", name))


def converge(doveadm: Doveadm, params: Params, _check_mode: bool) -> Result:
    """The module's result."""
    backend = None
    if params["backend"] is not None:
        if not params["map"]:
            raise InvalidValue("backend: goes with map: true only: it says whose users to list")
        backend = _values.address_of("backend", params["backend"])
    director = Director(doveadm, params["socket_path"])
    ring = director.wait_synced() if params["wait"] else director.ring()
    backends = director.backends()
    if backend is not None and backend not in backends:
        raise HostUnknown("backend: the ring has no backend %s, only %s" % (backend, ", ".join(sorted(backends)) or "none"))
    users, unknown = _director.parse_map(director.map(backend)) if params["map"] else (None, None)
    return {
        "changed": False,
        "ring": ring,
        "backends": backends,
        "declared": _director.as_variables(backends),
        "drift": _director.drift(backends, configured(doveadm)),
        "map": users,
        "unknown": unknown,
    }


def main() -> None:
    _module.run(converge, dict(_module.SOCKET, **OPTIONS))


if __name__ == "__main__":
    main()
