# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""OCF resource agent ocf:mailcluster:dovecot: Dovecot under systemd, watched by what clients see, its greetings.

Beside a process, Pacemaker's own class for systemd units sees nothing: a Dovecot that hangs would be well to it. And it has
systemd read all its units again at each start.

What it is to look at stands in the file of its settings, not in parameters: so a change of a port does not restart Dovecot.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

sys.path.insert(0, "/usr/local/libexec/mailcluster-dovecot")

from node_program import settings_of  # noqa: E402

SUCCESS, ERROR, UNIMPLEMENTED, NOT_RUNNING = 0, 1, 3, 7
UNIT = "dovecot.service"
# Seconds for a greeting; it is asked for twice, since a busy moment is no reason to end all sessions.
PATIENCE = 4
LAST_PATIENCE = 2
POLL = 0.1
METADATA = """<?xml version="1.0"?>
<resource-agent name="dovecot" version="1.0">
<version>1.1</version>
<longdesc lang="en">Starts and stops Dovecot through systemd. The monitor waits for the greetings of its listeners, so it
notices a Dovecot that runs and does not answer.</longdesc>
<shortdesc lang="en">Dovecot, watched by its greetings</shortdesc>
<parameters/>
<actions>
<action name="start" timeout="60s"/>
<action name="stop" timeout="60s"/>
<action name="monitor" timeout="40s" interval="5s" depth="0"/>
<action name="validate-all" timeout="10s"/>
<action name="meta-data" timeout="5s"/>
</actions>
</resource-agent>
"""


@dataclass(frozen=True)
class Settings:
    address: str  # where Dovecot listens, on this node
    ports: list[int]  # those that greet


def systemctl(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["systemctl", *words], capture_output=True, text=True, check=False)


def state() -> str:
    """C(active), C(inactive), C(failed), C(activating), ..."""
    return systemctl("is-active", UNIT).stdout.strip()


def greets(address: str, port: int, patience: float) -> bool:
    end = time.monotonic() + patience
    try:
        with socket.create_connection((address, port), patience) as connection:
            connection.settimeout(max(0.1, end - time.monotonic()))
            return bool(connection.recv(1))
    except OSError:
        return False


def say(words: str) -> None:
    """Pacemaker shows the last such line of a failed action."""
    print(f"ocf-exit-reason:{words}", file=sys.stderr, flush=True)


def monitor(settings: Settings) -> int:
    silent = [port for port in settings.ports if not greets(settings.address, port, PATIENCE)]
    if not silent:
        return SUCCESS
    now = state()
    if now in ("inactive", "failed", "unknown", ""):
        return NOT_RUNNING
    for port in silent:
        if not greets(settings.address, port, PATIENCE):
            say(f"no greeting at port {port} within {PATIENCE:g} s, twice ({UNIT} is {now})")
            return ERROR
    return SUCCESS


def start(settings: Settings) -> int:
    done = systemctl("start", UNIT)
    if done.returncode != 0:
        say(f"systemctl start {UNIT} failed: {' '.join(done.stderr.split())[:200]}")
        return ERROR
    while not all(greets(settings.address, port, PATIENCE) for port in settings.ports):
        if state() not in ("active", "activating", "reloading"):
            say(f"{UNIT} has ended right after its start: see journalctl -u {UNIT}")
            return ERROR
        time.sleep(POLL)  # ends with the start's timeout at the latest
    return SUCCESS


def stop(settings: Settings) -> int:
    now = state()
    if now in ("active", "reloading") and not all(greets(settings.address, port, LAST_PATIENCE) for port in settings.ports):
        # It hangs, and would only be waited for.
        systemctl("kill", "--signal=KILL", UNIT)
    if now not in ("inactive", "failed", "unknown", ""):
        systemctl("stop", UNIT)
        now = state()
    if now == "failed":
        systemctl("reset-failed", UNIT)
    return SUCCESS if now in ("inactive", "failed", "unknown", "") else ERROR


ACTIONS: dict[str, Callable[[Settings], int]] = {
    "start": start,
    "stop": stop,
    "monitor": monitor,
    "validate-all": lambda _settings: SUCCESS,
}


def main(words: Sequence[str]) -> int:
    action = words[0] if words else ""
    if action == "meta-data":
        sys.stdout.write(METADATA)
        return SUCCESS
    if action not in ACTIONS:
        return UNIMPLEMENTED
    os.environ["SYSTEMD_COLORS"] = "0"
    return ACTIONS[action](Settings(**settings_of("agent")))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
