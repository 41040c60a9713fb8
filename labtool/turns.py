"""Who may keep the machine busy: several scenarios at the same time, or a single test that measures how long something takes.

Normally, a scenario's steps and its tests run among others. A test that is marked `alone` waits until all of these have ended,
and those that come next wait for it. A scenario's steps together take minutes. While a test waits for these, tests of other
scenarios may still begin. The locks are the kernel's, so they end with the process that holds them.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
from collections.abc import Iterator
from pathlib import Path

# Where the locks are. Not set if nothing runs in parallel.
PLACE = "LAB_TURNS"
# The process that holds the turn of a scenario's steps, until its tests take their own turns.
HOLDER = "LAB_TURN_HOLDER"


@contextlib.contextmanager
def among_others() -> Iterator[None]:
    with _turn(fcntl.LOCK_SH):
        yield


@contextlib.contextmanager
def alone() -> Iterator[None]:
    with _held("steps", fcntl.LOCK_EX), _turn(fcntl.LOCK_EX):
        yield


@contextlib.contextmanager
def _turn(kind: int) -> Iterator[None]:
    with contextlib.ExitStack() as held:
        # A test that waits to be alone holds the gate. Otherwise, others could keep taking turns forever.
        with _held("gate", kind):
            held.enter_context(_held("machine", kind))
        yield


@contextlib.contextmanager
def _held(name: str, kind: int) -> Iterator[None]:
    if not (place := os.environ.get(PLACE)):
        yield
        return
    with Path(place, name).open("a") as lock:
        fcntl.flock(lock, kind)
        yield


@contextlib.contextmanager
def until_tests_begin() -> Iterator[dict[str, str]]:
    """Hold the turn of a scenario's steps, and yield the environment variables that its tests need."""
    with contextlib.ExitStack() as held:
        held.enter_context(_held("steps", fcntl.LOCK_SH))
        before = signal.signal(signal.SIGUSR1, lambda *_: held.close())
        try:
            yield {HOLDER: str(os.getpid())}
        finally:
            signal.signal(signal.SIGUSR1, before)


def tests_begin() -> None:
    if holder := os.environ.pop(HOLDER, None):
        os.kill(int(holder), signal.SIGUSR1)
