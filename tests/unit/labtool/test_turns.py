"""Of scenarios that run beside each other, a test may be alone: it waits for the others, and they for it."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from labtool import turns
from labtool.progress import stage_of

PROGRAM = """import sys, time
from labtool import turns
with turns.{turn}():
    print("in", flush=True)
    time.sleep(float(sys.argv[1]))
"""


@pytest.fixture
def other(monkeypatch, tmp_path):
    """A function that begins a turn in another process."""
    monkeypatch.setenv(turns.PLACE, str(tmp_path))
    begun = []

    def begin(turn, seconds):
        command = [sys.executable, "-c", PROGRAM.format(turn=turn), str(seconds)]
        begun.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        return begun[-1]

    yield begin
    for process in begun:
        process.kill()
        process.communicate()


def is_in(process):
    return process.stdout.readline() == "in\n"


def test_many_may_be_among_others(other):
    assert is_in(other("among_others", 60))
    with turns.among_others():
        assert is_in(other("among_others", 60))


def test_who_wants_to_be_alone_waits_and_the_others_wait_for_it(other):
    began = time.monotonic()
    assert is_in(other("among_others", 1.5))
    alone = other("alone", 1.5)
    time.sleep(0.7)
    assert is_in(alone)
    with turns.among_others():
        assert time.monotonic() - began > 2.9, "somebody was there while a test was alone"


def test_while_one_waits_for_a_scenarios_steps_the_tests_of_others_go_on(other):
    steps = other("until_tests_begin", 60)
    assert is_in(steps)
    alone = other("alone", 60)
    time.sleep(0.5)
    with turns.among_others():
        steps.kill()
        time.sleep(0.5)
    assert is_in(alone)


def test_a_turn_ends_with_its_process(other):
    alone = other("alone", 60)
    assert is_in(alone)
    alone.kill()
    with turns.alone():
        pass


def test_the_turn_of_a_scenarios_steps_ends_when_its_tests_begin(other, monkeypatch):
    with turns.until_tests_begin() as settings:
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        turns.tests_begin()
        with turns.alone():
            pass


def test_how_far_a_part_is_is_read_from_what_it_prints():
    molecule = "INFO     [ideal > converge] Executing\nPLAY [Every node]\n"
    assert stage_of(molecule) == "converge"
    molecule += "INFO     [ideal > verify] Executing\ntests/test_a.py ....  [  7%]\n...  [ 43%]\n"
    assert stage_of(molecule) == "verify 43 %"
    assert stage_of("--- ruff check .\nAll good\n--- yamllint --strict .\n") == "yamllint"
    assert stage_of("nothing of this kind") == ""
