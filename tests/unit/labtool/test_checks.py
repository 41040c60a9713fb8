"""How a scenario is run on a machine where an earlier lab left something, and what is told of those that are not run."""

from __future__ import annotations

import contextlib
import subprocess
import sys

import pytest

from labtool import checks, inventory, nodes
from labtool.system import LabError


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """A machine whose lab podman cannot list until it was removed; tells what was done, in order."""
    done = []

    def containers():
        if "removed" not in done:
            raise LabError("podman cannot list the lab's nodes: joining network namespace")
        return []

    def stream(command, **_):
        done.append(command[0])
        return 0

    monkeypatch.setattr(nodes, "containers", containers)
    monkeypatch.setattr(nodes, "remove", lambda: done.append("removed"))
    monkeypatch.setattr(checks, "lock", lambda _: contextlib.nullcontext())
    monkeypatch.setattr(checks, "stream", stream)
    monkeypatch.setattr(checks.paths, "CURRENT", tmp_path / "lab.json")
    return done


def test_a_scenario_first_removes_a_lab_that_podman_cannot_work_with(machine):
    assert checks.scenario("director")
    assert machine == ["removed", "molecule", "removed"]


@pytest.fixture
def parts(monkeypatch):
    """A unit test and two scenarios, one of them with virtual machines; tells what was run."""
    ran = []

    def part(name):
        return lambda: not ran.append(name)

    monkeypatch.setattr(checks, "_parts", lambda: {name: part(name) for name in ("unit", "ideal", "nfs")})
    monkeypatch.setattr(checks, "has_vms", lambda part: part == "nfs")
    return ran


def test_a_scenario_with_virtual_machines_is_left_out_when_asked_and_not_silently(parts, capsys):
    assert checks.test([], without_vms=True) == 0
    assert parts == ["unit", "ideal"]
    told = capsys.readouterr().out.splitlines()
    assert [line.split()[:3] for line in told if line.startswith("nfs")] == [["nfs", "left", "out"]]
    assert told[-1] == "2 passed, 0 failed, 1 left out (--without-vms)"


def test_nothing_is_left_out_unasked(parts, capsys):
    assert checks.test([]) == 0
    assert parts == ["unit", "ideal", "nfs"]
    assert capsys.readouterr().out.splitlines()[-1] == "3 passed, 0 failed"


def test_what_cannot_be_read_is_not_left_out(monkeypatch):
    def load(_variant):
        raise LabError("no")

    monkeypatch.setattr(inventory, "load", load)
    assert not checks.has_vms("shared_storage")
    assert not checks.has_vms("lint")


def test_a_scenario_runs_on_the_variant_of_its_name_or_on_another():
    assert checks.variant_of("director") == "director"
    assert checks.variant_of("chaos") == "ideal"


def test_parts_without_nodes_run_beside_each_other_and_are_told_in_their_order(monkeypatch, capfd):
    def run(command, stdout, **_more):
        stdout.write(f"said by {command[-1].split(chr(39))[1]}\n")
        return subprocess.CompletedProcess(command, 1 if "unit" in command[-1] else 0)

    monkeypatch.setattr(checks.subprocess, "run", run)
    assert checks.test(["lint", "unit"]) == 1
    told = capfd.readouterr().out
    assert told.index("said by lint") < told.index("said by unit") < told.index("lint  passed") < told.index("unit  FAILED")


def test_the_summary_names_the_tests_that_have_failed_and_why(monkeypatch, tmp_path, capsys):
    (tmp_path / "test_mail.py").write_text("def test_arrives():\n    assert False, 'two messages are lost'\n\n"
                                           "def test_is_read():\n    pass\n")

    def part():
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", f"--junit-xml={checks.report_of('ideal')}", tmp_path]
        return subprocess.run(command, stdout=subprocess.DEVNULL, check=False).returncode == 0

    monkeypatch.setattr(checks.paths, "LAB", tmp_path)
    monkeypatch.setattr(checks, "_parts", lambda: {"lint": lambda: True, "ideal": part})
    assert checks.test(["ideal"]) == 1
    told = capsys.readouterr().out.splitlines()
    assert told.index("ideal: test_mail::test_arrives: AssertionError: two messages are lost") < told.index("0 passed, 1 failed")
    assert not [line for line in told if "test_is_read" in line]
