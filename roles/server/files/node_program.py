# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the programs of a node share: where their settings are, and how they ask doveadm."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

SETTINGS = Path("/etc/mailcluster-dovecot")


def settings_of(program: str) -> dict[str, Any]:
    """What the role has written for a program."""
    return json.loads((SETTINGS / f"{program}.json").read_text(encoding="utf-8"))


def doveadm(*words: str, timeout: float | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["doveadm", *words], capture_output=True, text=True, timeout=timeout, check=False)


def complaint(done: subprocess.CompletedProcess[str]) -> str:
    """Why a command failed."""
    return done.stderr.strip() or f"exit status {done.returncode}"
