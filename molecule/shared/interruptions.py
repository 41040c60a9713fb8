"""A playbook is watched while it runs, and something is done in the midst of it."""

from __future__ import annotations

import signal
import subprocess
from contextlib import suppress

from fixtures import CHECKOUT


def at_task(task, act, playbook, *args):
    """Calls a function with the process as soon as the output tells of a task: what was printed, and the exit status."""
    process = subprocess.Popen(
        [CHECKOUT / "lab", "run", "ansible-playbook", CHECKOUT / "playbooks" / playbook, *args], stdout=subprocess.PIPE, text=True
    )
    seen = ""
    for line in process.stdout:
        seen += line
        if task in line:
            break
    assert task in seen, seen[-2000:]
    act(process)
    return seen + process.stdout.read(), process.wait()


def interrupt(process):
    """Ctrl-C, and again until it is heard: Python loses one now and then."""
    while process.poll() is None:
        process.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=0.3)
