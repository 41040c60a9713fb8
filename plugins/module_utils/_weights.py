# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The weights that backends had before they were drained: one small file a host, on the node that drained it.

The ring itself knows the current weight only, and its configuration none at all.
"""

from __future__ import annotations

import os

from ansible_collections.mailcluster.dovecot.plugins.module_utils._doveadm import DoveadmError

FOLDER = "former-weights"


class FormerWeights:
    def __init__(self, state_dir: str) -> None:
        self._folder = os.path.join(state_dir, FOLDER)

    def of(self, host: str) -> int | None:
        """The weight, or None when nothing (or nothing readable) is remembered."""
        try:
            with open(self._path(host), encoding="ascii") as stream:
                return int(stream.read())
        except (OSError, ValueError):
            return None

    def remember(self, host: str, weight: int) -> None:
        """By rename: an interruption leaves the old file or the new one."""
        path = self._path(host)
        try:
            os.makedirs(self._folder, mode=0o755, exist_ok=True)
            with open(path + ".new", "w", encoding="ascii") as stream:
                stream.write("%d\n" % weight)
                stream.flush()
                os.fsync(stream.fileno())
            os.rename(path + ".new", path)
        except OSError as error:
            raise DoveadmError(
                "cannot remember the weight of %s, so nothing was changed: %s. Is state_dir writable?" % (host, error)
            )

    def forget(self, host: str) -> None:
        try:
            os.unlink(self._path(host))
        except FileNotFoundError:
            pass
        except OSError as error:
            raise DoveadmError("cannot forget the former weight of %s: %s" % (host, error))

    def _path(self, host: str) -> str:
        return os.path.join(self._folder, host)
