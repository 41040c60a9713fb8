# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The types that many files share: what comes from outside, and what tests replace."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Optional

# AnsibleModule.run_command: an argument list, and more by name, to exit status, standard output and standard error.
Run = Callable[..., tuple[int, str, str]]
# AnsibleModule.get_bin_path
Find = Callable[[str], Optional[str]]
Clock = Callable[[], float]
Sleep = Callable[[float], None]

# A module's options as they are specified, their values as Ansible has checked them, and what the module returns.
Options = dict[str, dict[str, Any]]
Params = dict[str, Any]
Result = dict[str, Any]
# Column to value of what doveadm prints; nothing but the parsers' errors says whether it is as it should be.
Row = dict[str, Any]
