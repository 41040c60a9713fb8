"""Who was noted to have changed is told to the replicator, once; nobody waits for it, and nobody is forgotten."""

from __future__ import annotations

import json
import os
from pathlib import Path

import jinja2
import pytest

TEMPLATE = Path(__file__).resolve().parents[3] / "roles/replication/templates/changes.py.j2"


@pytest.fixture(scope="module")
def program():
    environment = jinja2.Environment()
    environment.filters["to_json"] = json.dumps
    source = environment.from_string(TEMPLATE.read_text()).render(ansible_managed="", __dovecot_changed_folder="/unused")
    namespace = {"__name__": "changes"}
    exec(compile(source, str(TEMPLATE), "exec"), namespace)
    return namespace


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "changed").mkdir()
    return tmp_path / "changed"


@pytest.fixture
def pipe(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    return tmp_path / "pipe"


@pytest.fixture
def aggregator(pipe):
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    yield reader
    os.close(reader)


def test_each_user_is_told_once_and_forgotten(program, folder, pipe, aggregator):
    for name in ("alice@example.org", "bob%2Fwork@example.org"):
        (folder / name).touch()
    assert program["pass_on"](folder, pipe) == 2
    assert sorted(os.read(aggregator, 1000).splitlines()) == [b"alice@example.org\tlow", b"bob/work@example.org\tlow"]
    assert program["pass_on"](folder, pipe) == 0
    assert not list(folder.iterdir())


def test_while_dovecot_does_not_run_the_users_stay_noted(program, folder, pipe):
    (folder / "alice@example.org").touch()
    with pytest.raises(OSError):
        program["pass_on"](folder, pipe)
    assert [path.name for path in folder.iterdir()] == ["alice@example.org"]


def test_what_a_full_pipe_does_not_take_stays_noted(program, folder, pipe, aggregator):
    writer = os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
    with pytest.raises(BlockingIOError):
        while True:
            os.write(writer, b"x" * 4096)
    (folder / "alice@example.org").touch()
    with pytest.raises(BlockingIOError):
        program["pass_on"](folder, pipe)
    os.close(writer)
    assert [path.name for path in folder.iterdir()] == ["alice@example.org"]
    os.read(aggregator, 1 << 20)
    assert program["pass_on"](folder, pipe) == 1
