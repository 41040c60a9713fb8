"""Who may keep the machine busy: scenarios that run beside each other, or one test alone that measures how long something takes.

A scenario's steps and its tests are among others. A test that is marked C(alone) waits until each of them has ended, and the
next ones wait for it. A scenario's steps together take minutes: while they are waited for, tests of others begin all the same.
The locks are the kernel's, so they end with whoever has them.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
from collections.abc import Iterator
from pathlib import Path

# Where the locks are; without it nobody else runs.
PLACE = "LAB_TURNS"
# The process that has the turn of a scenario's steps, until its tests take turns of their own.
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
        # Who waits to be alone keeps the gate, or others would go on taking turns for ever.
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
    """The turn of a scenario's steps; what is given belongs into the environment of its tests."""
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
