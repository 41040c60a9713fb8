"""Shows the progress of each part of the tests in one line. Their output goes to files."""

from __future__ import annotations

import re
import shutil
import sys
import threading
import time
from pathlib import Path

LOOK = 1.0  # seconds between two looks at the output
TAIL = 8192  # bytes that are read from its end
STEP = re.compile(r"\[\w+ > (\w+)\] Executing|(?m:^--- (\w+))")
PERCENT = re.compile(r"\[ *(\d+)%\]")


def stage_of(text: str) -> str:
    """From the end of the output: Molecule's step, or the tool that is running, and the share of its tests that have run."""
    steps = [match[1] or match[2] for match in STEP.finditer(text)]
    percents = PERCENT.findall(text)
    words = [*steps[-1:], *([f"{percents[-1]} %"] if percents else [])]
    return " ".join(words)


class Progress:
    """On a terminal, one line for each running part. Otherwise, a line when a part begins a step."""

    def __init__(self) -> None:
        self.running: dict[str, tuple[Path, float]] = {}
        self.stages: dict[str, str] = {}
        self.drawn = 0
        self.lock, self.stop = threading.RLock(), threading.Event()
        self.thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Progress:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        self.thread.join()

    def begin(self, part: str, output: Path) -> None:
        with self.lock:
            self.running[part] = (output, time.monotonic())
            self.say(f"  {part}: started")

    def end(self, part: str, outcome: str) -> None:
        with self.lock:
            _output, began = self.running.pop(part)
            self.say(f"  {part}: {outcome} in {time.monotonic() - began:.0f} s")

    def say(self, line: str) -> None:
        """Print a line that stays."""
        with self.lock:
            self._clear()
            print(line, file=sys.stderr, flush=True)
            self._draw()

    def show(self, text: str) -> None:
        """Print the output of a part."""
        with self.lock:
            self._clear()
            print(text, end="", flush=True)
            self._draw()

    def _watch(self) -> None:
        while not self.stop.wait(LOOK):
            with self.lock:
                for part, (output, _began) in self.running.items():
                    self._look(part, _end_of(output))
                self._clear()
                self._draw()
        with self.lock:
            self._clear()

    def _look(self, part: str, text: str) -> None:
        stage = stage_of(text) or self.stages.get(part, "")
        step = stage.split(" ")[0]
        if not sys.stderr.isatty() and step and not step.isdigit() and step != self.stages.get(part, "").split(" ")[0]:
            print(f"  {part}: {step} after {time.monotonic() - self.running[part][1]:.0f} s", file=sys.stderr, flush=True)
        self.stages[part] = stage

    def _clear(self) -> None:
        if self.drawn:
            print(f"\x1b[{self.drawn}A\x1b[J", end="", file=sys.stderr, flush=True)
            self.drawn = 0

    def _draw(self) -> None:
        if not sys.stderr.isatty():
            return
        width = shutil.get_terminal_size().columns
        for part, (_output, began) in self.running.items():
            minutes, seconds = divmod(int(time.monotonic() - began), 60)
            print(f"  {minutes:2}:{seconds:02} {part}: {self.stages.get(part, '')}"[: width - 1], file=sys.stderr)
        sys.stderr.flush()
        self.drawn = len(self.running)


def _end_of(output: Path) -> str:
    with output.open("rb") as file:
        file.seek(0, 2)
        file.seek(max(0, file.tell() - TAIL))
        return file.read().decode(errors="replace")
