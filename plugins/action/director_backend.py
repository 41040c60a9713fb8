# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Controller side of `director_backend`: a drain is waited for in slices, and after each it is told what is left."""

from __future__ import annotations

import time
from typing import Any

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ansible_collections.mailcluster.dovecot.plugins.modules.director_backend import OPTIONS
from ansible_collections.mailcluster.dovecot.plugins.plugin_utils._normal import whole

MODULE = "mailcluster.dovecot.director_backend"
SLICE = 5  # seconds

display = Display()


class ActionModule(ActionBase):
    """Anything but a drain that has to wait is one call of the module."""

    TRANSFERS_FILES = False
    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        task_vars = {} if task_vars is None else task_vars
        result = super().run(tmp, task_vars)
        if result.get("skipped"):
            return result
        self._task_vars = task_vars
        seconds = whole(self._option("drain_timeout"))
        if self._option("state") != "drained" or not seconds or self._task.check_mode:
            return dict(result, **self._call())
        return dict(result, **self._drain(seconds))

    def _option(self, name: str) -> Any:
        given = self._task.args.get(name)
        option: Any = OPTIONS[name]
        return option["default"] if given is None else given

    def _drain(self, seconds: int) -> dict[str, Any]:
        end = time.monotonic() + seconds
        results: list[dict[str, Any]] = []
        while True:
            left = end - time.monotonic()
            results.append(self._call(drain_timeout=max(1, min(SLICE, round(left))), flush="none"))
            if "remaining" not in results[-1]:
                break  # it is empty, or something else is wrong
            left = max(0, round(end - time.monotonic()))
            display.display(
                f"{self._task_vars['inventory_hostname']}: {results[-1]['remaining']} of its "
                f"{results[-1]['counted']} left on {self._task.args['host']}, {left} s to go"
            )
            if not left:
                if self._option("flush") != "none":
                    results.append(self._call(drain_timeout=0))
                break
        return merged(results)

    def _call(self, **args: Any) -> dict[str, Any]:
        return self._execute_module(module_name=MODULE, module_args=dict(self._task.args, **args), task_vars=self._task_vars)


def merged(results: list[dict[str, Any]]) -> dict[str, Any]:
    """The result of several calls as that of one: what the last found, after all that they did."""
    last = dict(results[-1], changed=any(result.get("changed") for result in results))
    if "commands" in last:
        last["commands"] = [words for result in results for words in result["commands"]]
        last["diff"] = results[0]["diff"]
    return last
