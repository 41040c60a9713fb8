# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How every module begins and ends: the only place where one fails."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.mailcluster.dovecot.plugins.module_utils._errors import Failure
from ansible_collections.mailcluster.dovecot.plugins.module_utils._types import Options, Result


def main(
    work: Callable[[AnsibleModule], Result], options: Options, kind: type[AnsibleModule] = AnsibleModule, **more: Any
) -> None:
    """Runs a module with these options, which check mode has too.  I(work) gives the result."""
    module = kind(argument_spec=options, supports_check_mode=True, **more)
    try:
        result = work(module)
    except Failure as error:
        known = {} if error.changed is None else {"changed": error.changed}
        module.fail_json(msg=str(error), **known, **error.details())
    module.exit_json(**result)
