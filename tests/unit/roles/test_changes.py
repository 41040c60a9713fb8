"""Who was noted to have changed is told to the replicator, once; nobody waits for it, and nobody is forgotten."""

from __future__ import annotations

import os

import pytest
from programs import program as load


@pytest.fixture(scope="module")
def pass_on():
    return load("replication", "changes").pass_on


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


def test_each_user_is_told_once_and_forgotten(pass_on, folder, pipe, aggregator):
    for name in ("alice@example.org", "bob%2Fwork@example.org"):
        (folder / name).touch()
    assert pass_on(folder, pipe) == 2
    assert sorted(os.read(aggregator, 1000).splitlines()) == [b"alice@example.org\tlow", b"bob/work@example.org\tlow"]
    assert pass_on(folder, pipe) == 0
    assert not list(folder.iterdir())


def test_while_dovecot_does_not_run_the_users_stay_noted(pass_on, folder, pipe):
    (folder / "alice@example.org").touch()
    with pytest.raises(OSError):
        pass_on(folder, pipe)
    assert [path.name for path in folder.iterdir()] == ["alice@example.org"]


def test_what_a_full_pipe_does_not_take_stays_noted(pass_on, folder, pipe, aggregator):
    writer = os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
    with pytest.raises(BlockingIOError):
        while True:
            os.write(writer, b"x" * 4096)
    (folder / "alice@example.org").touch()
    with pytest.raises(BlockingIOError):
        pass_on(folder, pipe)
    os.close(writer)
    assert [path.name for path in folder.iterdir()] == ["alice@example.org"]
    os.read(aggregator, 1 << 20)
    assert pass_on(folder, pipe) == 1
