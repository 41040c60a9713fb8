# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compares DRBD's two copies, block by block, and has those that differ copied from the active node.

DRBD notes differences while it compares, and copies at the next connection: so it is connected again, only if there are any.
"""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path

INTERVAL = 1.0  # seconds


def drbdadm(*words: str) -> None:
    subprocess.run(["drbdadm", *words], check=True)


def connection(status: str) -> str:
    """Of /proc/drbd: C(Connected), C(VerifyS), C(WFConnection), ..."""
    found = re.search(r"^ *0: cs:(\w+)", status, re.MULTILINE)
    return found.group(1) if found else "Unconfigured"


def differing(status: str) -> int:
    """KiB that differ."""
    found = re.search(r"\boos:(\d+)", status)
    return int(found.group(1)) if found else 0


def read() -> str:
    return Path("/proc/drbd").read_text(encoding="ascii")


def main(resource: str) -> int:
    if (now := connection(read())) != "Connected":
        print(f"not compared: DRBD is {now}, not Connected", flush=True)
        return 1
    drbdadm("verify", resource)
    while (now := connection(status := read())) in ("VerifyS", "VerifyT"):
        time.sleep(INTERVAL)
    if now != "Connected":
        print(f"the comparison was interrupted: DRBD is {now}", flush=True)
        return 1
    amount = differing(status)
    if not amount:
        print("both copies are the same", flush=True)
        return 0
    print(f"{amount} KiB differ, and are copied to the passive node now: check its disk and its memory", flush=True)
    drbdadm("disconnect", resource)
    drbdadm("connect", resource)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
