"""What the proof of shared storage does on the storage, in processes of its own as on a node."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time

import pytest

from ansible_collections.mailcluster.dovecot.plugins.module_utils import _storage_program
from ansible_collections.mailcluster.dovecot.plugins.module_utils._storage_probe import program


@pytest.fixture
def holder(tmp_path):
    """A function that has another process lock a new file; gives file and process."""
    begun = []

    def hold(kind):
        file = tmp_path / f"held-{kind}"
        file.write_bytes(b"probe\n")
        begun.append(subprocess.Popen(program("hold", kind, str(file))))
        deadline = time.monotonic() + 10
        while _storage_program.state_of(kind, file) != "locked" and time.monotonic() < deadline:
            time.sleep(0.05)
        return file, begun[-1]

    yield hold
    for process in begun:
        process.kill()
        process.wait()


def test_a_file_is_written_and_told_with_its_owner_and_its_time(tmp_path):
    done = subprocess.run(program("write", str(tmp_path / "new"), str(tmp_path)), capture_output=True, text=True, check=True)
    told = json.loads(done.stdout)
    assert told["owner"] == [os.getuid(), os.getgid()]
    before, written, after = told["clock"]
    assert before - 1 < written < after + 1


def test_a_file_that_cannot_be_written_is_an_error_in_words(tmp_path):
    (tmp_path / "there").touch()
    assert _storage_program.write(str(tmp_path / "there"), str(tmp_path))["error"] == "File exists"


@pytest.mark.parametrize("kind", ["fcntl", "flock"])
def test_a_file_that_another_process_holds_is_seen_as_locked(kind, holder):
    file, _process = holder(kind)
    assert _storage_program.see(kind, 5, str(file)) == ["locked"]


def test_who_holds_a_file_removes_it_at_the_end(holder):
    file, process = holder("fcntl")
    process.send_signal(signal.SIGTERM)
    process.wait(10)
    assert not file.exists()


def test_what_is_not_locked_or_not_there_is_told_when_the_patience_is_over(tmp_path):
    (tmp_path / "free").touch()
    began = time.monotonic()
    assert _storage_program.see("fcntl", 0.3, str(tmp_path / "free"), str(tmp_path / "none")) == ["unlocked", "hidden"]
    assert time.monotonic() - began >= 0.3
