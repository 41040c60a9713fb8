#!/usr/bin/python
# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: mailbox_digest
short_description: What this node has of its users' mail, in a form that two nodes can be compared by
description:
  - Gives a digest a user, of all folders with their number of messages, of unseen ones, UIDVALIDITY, UIDNEXT and GUID. The
    nodes of a replicated pair have the same, or one of them lacks something, unless a change is on its way just now.
  - Each node reads its own mail, so that two nodes can be compared whatever they replicate by.
  - Users with C(noreplicate) are left out.
version_added: 0.1.0
author: mailcluster.dovecot contributors (@mailcluster)
extends_documentation_fragment:
  - mailcluster.dovecot.attributes
  - mailcluster.dovecot.attributes.no_diff
  - mailcluster.dovecot.attributes.platform
  - mailcluster.dovecot.doveadm
options:
  users:
    description: Names, or masks with V(*) and V(?).
    type: list
    elements: str
    default: ["*"]
  sample:
    description: How many of them to read at the most. 0, all; that takes some 20 ms a user.
    type: int
    default: 0
  seed:
    description: Nodes that are given the same seed read the same sample, of the same users.
    type: str
    default: ""
  settle:
    description: Seconds to wait before anything is read, for changes that are on their way.
    type: int
    default: 0
  samples:
    description: How often to read, a second apart. Of mail that never rests two nodes have the same at different moments.
    type: int
    default: 1
"""

EXAMPLES = r"""
- name: Read twenty users, the same on both nodes
  mailcluster.dovecot.mailbox_digest:
    sample: 20
    seed: "{{ '%Y-%m-%d' | ansible.builtin.strftime }}"
  register: mail

- name: They have the same mail on the partner
  ansible.builtin.assert:
    that: mail.digests == hostvars[partner].mail.digests
"""

RETURN = r"""
digests:
  description: A digest by user; null for one whose mail could not be read.
  returned: success
  type: dict
  sample: {"alice@example.org": "5f0c2f6c"}
seen:
  description: Each user with each digest that was read, as C(USER DIGEST), in no order.
  returned: success
  type: list
  elements: str
  sample: ["alice@example.org 5f0c2f6c"]
known:
  description: The number of users from which the sample was taken.
  returned: success
  type: int
  sample: 812
"""

import hashlib
from collections.abc import Iterable

from ansible_collections.mailcluster.dovecot.plugins.module_utils import _module, _users, _values
from ansible_collections.mailcluster.dovecot.plugins.module_utils._doveadm import Doveadm, DoveadmError, InvalidValue
from ansible_collections.mailcluster.dovecot.plugins.module_utils._types import Options, Params, Result

OPTIONS: Options = {
    "users": {"type": "list", "elements": "str", "default": ["*"]},
    "sample": {"type": "int", "default": 0},
    "seed": {"type": "str", "default": ""},
    "settle": {"type": "int", "default": 0},
    "samples": {"type": "int", "default": 1},
}
CONTENTS = "messages unseen uidnext uidvalidity guid"


def sample_of(names: Iterable[str], size: int, seed: str) -> list[str]:
    """I(size) of I(names), or all: the same ones wherever I(names) and I(seed) are the same."""
    ordered = sorted(names, key=lambda name: hashlib.sha256(("%s %s" % (seed, name)).encode("utf-8")).digest())
    return sorted(ordered[:size] if size else ordered)


def digest(doveadm: Doveadm, user: str) -> str | None:
    """Of what the node has of I(user); None when it does not tell."""
    try:
        table = doveadm.run("-f", "tab", "mailbox", "status", "-u", user, CONTENTS, "*")
    except DoveadmError:
        return None
    return hashlib.sha256("\n".join(sorted(table.splitlines())).encode("utf-8")).hexdigest()[:16]


def converge(doveadm: Doveadm, params: Params, _check_mode: bool) -> Result:
    """The module's result."""
    for mask in params["users"]:
        _values.mask_of("users", mask)
    if params["sample"] < 0:
        raise InvalidValue("sample: %d is below 0: give a number of users, 0 for all" % params["sample"])
    doveadm.sleep(max(0, params["settle"]))
    names = _users.matching(doveadm, params["users"])
    kept, broken = _users.replicated(doveadm, sample_of(names, params["sample"], params["seed"]))
    digests: dict[str, str | None] = dict.fromkeys(broken)
    seen: set[str] = set()
    for number in range(max(1, params["samples"])):
        doveadm.sleep(1 if number else 0)
        digests.update({user: digest(doveadm, user) for user in kept})
        seen.update("%s %s" % (user, digests[user]) for user in kept if digests[user])
    return {"changed": False, "digests": digests, "seen": sorted(seen), "known": len(names)}


def main() -> None:
    _module.run(converge, OPTIONS)


if __name__ == "__main__":
    main()
