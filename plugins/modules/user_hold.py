#!/usr/bin/python
# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: user_hold
short_description: Hold a user's logins and deliveries on a proxy, and release them
description:
  - While a user is held, a proxy refuses logins and deliveries temporarily, so that mail servers try again. Sessions go on, and
    so does doveadm. Dovecot reads who is held once a second.
version_added: 0.1.0
author: mailcluster.dovecot contributors (@mailcluster)
extends_documentation_fragment:
  - mailcluster.dovecot.attributes
  - mailcluster.dovecot.attributes.no_diff
  - mailcluster.dovecot.attributes.platform
options:
  user:
    description: The user. Not needed with O(state=listed).
    type: str
  state:
    description: V(held), V(released), or V(listed) to learn who is held.
    type: str
    choices: [held, released, listed]
    default: held
  path:
    description: The passdb file of held users.
    type: path
    default: /etc/dovecot/held-users.passwd
"""

EXAMPLES = r"""
- name: Hold a user
  mailcluster.dovecot.user_hold:
    user: alice@example.org

- name: Release her
  mailcluster.dovecot.user_hold:
    user: alice@example.org
    state: released
"""

RETURN = r"""
held:
  description: Who is held afterwards.
  returned: success
  type: list
  elements: str
  sample: ["alice@example.org"]
"""

import os
import tempfile

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.mailcluster.dovecot.plugins.module_utils import _main, _user_hold
from ansible_collections.mailcluster.dovecot.plugins.module_utils._errors import Failure
from ansible_collections.mailcluster.dovecot.plugins.module_utils._types import Options, Result

OPTIONS: Options = {
    "user": {"type": "str"},
    "state": {"type": "str", "choices": ["held", "released", "listed"], "default": "held"},
    "path": {"type": "path", "default": "/etc/dovecot/held-users.passwd"},
}
NEED_USER = [("state", "held", ["user"]), ("state", "released", ["user"])]


def work(module: AnsibleModule) -> Result:
    path, user, state = (module.params[name] for name in ("path", "user", "state"))
    if not os.path.exists(path):
        raise Failure("%s does not exist: this node is no proxy, or was not deployed" % path)
    with open(path, encoding="utf-8") as file:
        text = file.read()
    wanted = {"held": _user_hold.with_user, "released": _user_hold.without_user, "listed": lambda text, _user: text}[state](
        text, user
    )
    if wanted != text and not module.check_mode:
        with tempfile.NamedTemporaryFile("w", dir=module.tmpdir, delete=False, encoding="utf-8") as new:
            new.write(wanted)
        # by rename, so that Dovecot never reads a part of it; owner and mode stay
        module.atomic_move(new.name, path)
    return {"changed": wanted != text, "held": _user_hold.held(wanted)}


def main() -> None:
    _main.main(work, OPTIONS, required_if=NEED_USER)


if __name__ == "__main__":
    main()
