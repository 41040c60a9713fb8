"""How a scenario is run on a machine where an earlier lab left something."""

from __future__ import annotations

import contextlib

import pytest

from labtool import checks, nodes
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
