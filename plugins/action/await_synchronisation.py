# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Controller side of `await_synchronisation`: asks the node again and again, and tells what remains."""

from __future__ import annotations

import time
from collections.abc import Collection
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ansible_collections.mailcluster.dovecot.plugins.module_utils import _values

ARGUMENT_SPEC = {"patience": {"type": "int", "default": 600}}
TIMEOUT = 600  # seconds; many users take the replicator a while

display = Display()


# It begins as director_backend and config do: Ansible wants that of every action. Nothing else could be shared.
class ActionModule(ActionBase):
    """Works with the modules replicator_user and replicator_info."""

    TRANSFERS_FILES = False
    _supports_check_mode = False
    _supports_async = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        task_vars = {} if task_vars is None else task_vars
        result = super().run(tmp, task_vars)
        if result.get("skipped"):
            return result
        dummy, args = self.validate_argument_spec(ARGUMENT_SPEC)
        self._task_vars = task_vars
        self._node: str = task_vars["inventory_hostname"]
        # doveadm tells whole seconds: what is synchronised in this one cannot be told from what was just before
        since = self._call("replicator_info")["time"] + 1
        time.sleep(1)
        self._queue(max_age=0)
        known = self._until_synchronised(since, args["patience"])
        return dict(result, changed=True, users=known)

    def _until_synchronised(self, since: int, patience: int) -> int:
        """The number of users, all of whom were synchronised after I(since)."""
        least, moved = None, time.monotonic()
        while True:
            state = self._call("replicator_info", since=since)
            missing, failed = set(state["unsynchronised_users"]), set(state["failed_users"])
            known = state["summary"]["known_users"]
            display.display(
                f"{self._node}: {known - len(missing)} of {known} users synchronised, {len(missing)} to go, "
                f"{len(missing & failed)} of them failed and tried again"
            )
            if not missing:
                return known
            if missing - failed or least is None or len(missing) < least:
                least, moved = len(missing), time.monotonic()
            if time.monotonic() - moved > patience:
                raise AnsibleActionFail(self._complaint(missing, known, patience))
            at_work = {connection["user"] for connection in state["connections"]}
            if not state["queued"] and not missing & at_work:
                # who was at work when the queue was filled is not in it, and the replicator is slow to retry who failed
                self._queue(max_age=max(1, state["time"] - since))
            time.sleep(min(10, 1 + len(missing) // 20))

    def _queue(self, max_age: int) -> None:
        self._call("replicator_user", user="*", state="synchronised", max_age=max_age, timeout=TIMEOUT)

    def _call(self, module: str, **args: Any) -> dict[str, Any]:
        result = self._execute_module(module_name=f"mailcluster.dovecot.{module}", module_args=args, task_vars=self._task_vars)
        if result.get("failed"):
            raise AnsibleActionFail(result.get("msg", f"{module} failed"), result=result)
        return result

    def _complaint(self, missing: Collection[str], known: int, patience: int) -> str:
        return (
            f"{len(missing)} of {known} users of {self._node} could not be synchronised, tried for {patience} s: "
            f"{_values.named(missing)}. See journalctl -u dovecot on both nodes; fix what it says, and run "
            f"again"
        )
