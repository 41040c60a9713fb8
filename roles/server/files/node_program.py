# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the programs of a node share: where their settings are, how they ask doveadm, and how they go on for ever."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
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


def repeat(step: Callable[[], object], interval: float, words: str) -> None:
    """Takes a step again and again.  A trouble is told once, behind I(words), until there is another or none."""
    trouble = ""
    while True:
        try:
            step()
            trouble = ""
        except (OSError, subprocess.SubprocessError) as error:
            if str(error) != trouble:
                trouble = str(error)
                print(f"{words}: {trouble}", file=sys.stderr, flush=True)
        time.sleep(interval)
