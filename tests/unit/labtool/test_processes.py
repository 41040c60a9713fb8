"""Whose processes are this lab's."""

from __future__ import annotations

import subprocess
import time

from labtool import processes


def words():
    return [words for _pid, words in processes.command_lines()]


def test_processes_of_an_enclosure_are_not_this_labs():
    """They have the very same words, since the paths inside are the same."""
    own = subprocess.Popen(["sleep", "4321"])
    inside = subprocess.Popen(["unshare", "--pid", "--fork", "--kill-child", "sleep", "4322"])
    try:
        time.sleep(0.5)
        assert ["sleep", "4321"] in words()
        assert ["sleep", "4322"] not in words()
    finally:
        for process in (own, inside):
            process.kill()
            process.wait()
