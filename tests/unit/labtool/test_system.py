"""One change at a time, and commands that fail tell why."""

from __future__ import annotations

import ast
import graphlib
import os

import pytest

from labtool import paths, system
from labtool.system import LabError


@pytest.fixture
def own_state(monkeypatch, tmp_path):
    monkeypatch.setattr(paths, "STATE", tmp_path)
    for name in ("LOCK", "BOOT_ID", "CONTROL_SOCKETS", "PODMAN_RUN", "PODMAN_TMP"):
        monkeypatch.setattr(paths, name, tmp_path / getattr(paths, name).name)
    monkeypatch.delenv(system.LOCK_VARIABLE, raising=False)


def test_a_second_change_is_told_who_makes_the_first(own_state, monkeypatch):
    with system.lock("up"):
        monkeypatch.delenv(system.LOCK_VARIABLE)
        with pytest.raises(LabError, match=rf"pid {os.getpid()} \(./lab up"), system.lock("down"):
            pass
        monkeypatch.setenv(system.LOCK_VARIABLE, str(os.getpid()))


def test_a_child_works_under_its_parents_lock(own_state):
    with system.lock("test"), system.lock("nodes-create"):
        pass
    with system.lock("up"):
        pass


def test_what_an_earlier_boot_left_is_forgotten(own_state):
    paths.PODMAN_RUN.mkdir()
    paths.BOOT_ID.write_text("another boot\n")
    system.forget_previous_boot()
    assert not paths.PODMAN_RUN.exists()
    paths.PODMAN_RUN.mkdir()
    system.forget_previous_boot()
    assert paths.PODMAN_RUN.exists()


def test_a_failed_command_shows_what_it_said():
    with pytest.raises(LabError, match="no such thing"):
        system.run(["sh", "-c", "echo no such thing >&2; exit 3"])
    with pytest.raises(LabError, match="could not be started"):
        system.run(["/no/such/program"])
    with pytest.raises(LabError, match="No result after"):
        system.run(["sleep", "5"], timeout=0.1)


def test_the_lab_s_modules_import_each_other_without_a_circle():
    graph = {}
    for path in paths.ROOT.glob("labtool/*.py"):
        imports = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)]
        whole = {name.name for node in imports if node.module == "labtool" for name in node.names}
        graph[path.stem] = whole | {node.module.split(".")[1] for node in imports if (node.module or "").startswith("labtool.")}
    graphlib.TopologicalSorter(graph).prepare()  # raises CycleError, which names them
