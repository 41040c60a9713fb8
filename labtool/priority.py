"""Which of the scenarios that run beside each other comes first on the machine's processors."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from labtool import enclosure, processes

PLAIN, FIRST = 0, -20  # priorities of the scheduler


@contextlib.contextmanager
def first() -> Iterator[None]:
    """Let this enclosure's processes, its nodes and what they start come before those of others on the machine's processors."""
    if not enclosure.inside():
        yield
        return
    _give(FIRST, instead_of=PLAIN)
    try:
        yield
    finally:
        _give(PLAIN, instead_of=FIRST)


def _give(priority: int, *, instead_of: int) -> None:
    changed = True
    while changed:  # those that were started meanwhile by processes whose turn had not come
        changed = False
        for pid in processes.pids():
            with contextlib.suppress(OSError):  # it has ended, or this machine does not allow it
                for thread in map(int, os.listdir(f"/proc/{pid}/task")):
                    if os.getpriority(os.PRIO_PROCESS, thread) == instead_of:
                        os.setpriority(os.PRIO_PROCESS, thread, priority)
                        changed = True
