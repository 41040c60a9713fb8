"""Runs the parts of the tests in parallel: each in its own process, a scenario also in its own enclosure."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from threading import Lock, get_ident

from labtool import enclosure, kernel, lifecycle, nodes, paths, results, scenarios
from labtool.environment import link_collection
from labtool.progress import Progress
from labtool.results import FAILED, PASSED, Result
from labtool.system import LOCK_VARIABLE, LabError, lock, say

# The longest parts start first. Otherwise everything would wait for them at the end.
LONGEST = (
    *("replicated_pair", "ideal", "active_passive", "director", "cluster_filesystem", "shared_storage"),
    *("partitioned_implicit", "chaos"),
    *("unit", "cores", "sanity"),
)
# A scenario keeps a core busy for two thirds of the time. What only computes fills up the rest. One with virtual machines can
# keep two cores busy, of which therefore only one runs at a time. With one more at a time and a higher priority for machines,
# each took several times longer.
MEMORY_OF_A_SCENARIO = 4 << 30
# Images, for which scenarios wait.
SOONER = ["nice", "-n", "-15"]
# What only computes, and must not disturb measurements.
LATER = ["nice", "-n", "10"]
# Environment variable: by part, the names of the tests that failed. Only these are run.
AGAIN = "LAB_TEST_AGAIN"
MADE = {"container": "images of containers", "vm": "kernel and disk of virtual machines"}


def how_many_at_once() -> int:
    """How many scenarios this machine can run in parallel."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return max(1, min(os.cpu_count() or 1, memory // MEMORY_OF_A_SCENARIO))


def run(wanted: list[str], jobs: int, *, again: bool) -> dict[str, Result]:
    """Run the parts. The output of each is shown when it has ended."""
    order = sorted(wanted, key=lambda name: LONGEST.index(name) if name in LONGEST else len(LONGEST))
    known = scenarios.names()
    with_nodes = [name for name in order if name in known]
    say(f"\n=== {len(order)} parts, {min(jobs, len(with_nodes))} scenarios at a time: {', '.join(order)}")
    link_collection()
    settings = _settings(order, again=again)
    with ExitStack() as stack:
        locked = stack.enter_context(ExitStack())
        if with_nodes:
            locked.enter_context(lock("test"))
            stack.enter_context(_prepared(min(jobs, len(with_nodes))))
        progress = stack.enter_context(Progress())
        making, computing, running = pools = [ThreadPoolExecutor(number) for number in (len(MADE) + 1, os.cpu_count(), jobs)]
        for pool in pools:
            stack.enter_context(pool)
        kinds = {name: scenarios.kinds_of(name) for name in with_nodes}
        made = {kind: making.submit(_make, kind, progress) for kind in MADE if any(kind in some for some in kinds.values())}
        making.submit(_close_after, made.values(), locked)
        queue = Queue(with_nodes, {name for name in with_nodes if "vm" in kinds[name]})
        # After an interruption, no further part starts.
        stack.callback(queue.clear)
        for pool in pools:
            stack.callback(pool.shutdown, wait=False, cancel_futures=True)

        def from_the_queue() -> list[Result]:
            return [_scenario(name, kinds[name], settings, progress, made) for name in queue]

        computed = [computing.submit(_part, name, settings, progress) for name in order if name not in known]
        ran = [running.submit(from_the_queue) for _number in range(min(jobs, len(with_nodes)))]
        results_of = [future.result() for future in computed] + [result for future in ran for result in future.result()]
        return {result.part: result for result in results_of}


class Queue:
    """Gives several takers one scenario after the other. One of them takes those with virtual machines, from the beginning: they
    take longest together, because only one of them runs at a time."""

    def __init__(self, names: Collection[str], with_vms: Collection[str]) -> None:
        self.left, self.with_vms, self.lock = list(names), with_vms, Lock()
        self.taker: int | None = None  # the thread that takes those with virtual machines

    def __iter__(self) -> Iterator[str]:
        return iter(self._next, None)

    def _next(self) -> str | None:
        with self.lock:
            mine = self.taker in (None, get_ident())
            name = next((name for name in self.left if name in self.with_vms), None) if mine else None
            if name:
                self.taker = get_ident()
            else:
                name = next((name for name in self.left if name not in self.with_vms), None)
            if name:
                self.left.remove(name)
            return name

    def clear(self) -> None:
        with self.lock:
            self.left.clear()


def _settings(order: list[str], *, again: bool) -> dict[str, str]:
    """The environment variables that all parts get."""
    return {AGAIN: json.dumps({name: [test for test, _reason in results.failures(name)] for name in order})} if again else {}


@contextmanager
def _prepared(at_once: int) -> Iterator[None]:
    """Prepare what all scenarios need, and keep others from removing it until they have ended."""
    nodes.ensure_key()
    kernel.raise_limits(at_once)
    lifecycle.remove_old_images()
    with enclosure.wanted(), kernel.obeying_priorities():
        yield


def _make(kind: str, progress: Progress) -> bool:
    """Build the images for one kind of node, once for all scenarios."""
    return _in_a_process(MADE[kind], f"beside.make_here({kind!r})", nullcontext(SOONER), os.environ, progress)


def _close_after(made: Collection[Future[bool]], held: ExitStack) -> None:
    wait(made)
    held.close()


def make_here(kind: str) -> int:
    try:
        lifecycle.ensure_images({kind}, stocked=True)
    except LabError as error:
        say(f"lab: {error}")
        return 1
    return 0


def _scenario(
    name: str, kinds: Collection[str], settings: Mapping[str, str], progress: Progress, made: Mapping[str, Future[bool]]
) -> Result:
    if not all(made[kind].result() for kind in kinds):
        progress.say(f"  {name}: not run, because its images could not be built (see above)")
        return _kept(Result(name, FAILED, 0), progress)
    return _run_part(name, settings, progress, enclosure.opened(name))


def _part(name: str, settings: Mapping[str, str], progress: Progress) -> Result:
    return _run_part(name, settings, progress, nullcontext(LATER))


def _run_part(name: str, settings: Mapping[str, str], progress: Progress, around: AbstractContextManager[list[str]]) -> Result:
    begin = time.monotonic()
    spent = results.cpu_file(name)
    spent.unlink(missing_ok=True)
    # Without the lock, because images may still be being built under it.
    own = {key: value for key, value in os.environ.items() if key != LOCK_VARIABLE} | dict(settings)
    passed = _in_a_process(name, f"checks.run_here({name!r})", around, own, progress)
    result = Result(name, PASSED if passed else FAILED, time.monotonic() - begin, results.cpu_of(name))
    return _kept(result, progress)


def _kept(result: Result, progress: Progress) -> Result:
    with progress.lock:
        results.keep(result)
    return result


def _in_a_process(
    title: str, call: str, around: AbstractContextManager[list[str]], settings: Mapping[str, str], progress: Progress
) -> bool:
    """Run it in a process, and return whether it succeeded. Its output is shown afterwards, in one piece."""
    output = paths.TESTS / f"{title.replace(' ', '_')}.log"
    program = f"import sys; from labtool import beside, checks; sys.exit({call})"
    passed = False
    with output.open("w") as file:
        progress.begin(title, output)
        try:
            with around as before:
                words = ["setpriv", "--pdeathsig", "TERM", "--", *before, sys.executable, "-P", "-c", program]
                done = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=file, stderr=file, env=settings, check=False)
                passed = done.returncode == 0
        except (LabError, OSError) as error:
            print(f"lab: {error}", file=file)
    progress.end(title, PASSED if passed else FAILED)
    progress.show(output.read_text(errors="replace"))
    return passed
