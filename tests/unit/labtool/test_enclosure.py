"""What is inside of an enclosure is not seen outside, reaches out, and ends with whoever made it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from labtool import enclosure, paths
from labtool.system import LabError

NAME = "of-a-test"
PROGRAM = f"""import subprocess
from labtool import enclosure
with enclosure.opened({NAME!r}) as words:
    subprocess.run([*words, "sleep", "4323"])
"""


def inside(words, command):
    return subprocess.run([*words, "bash", "-c", command], capture_output=True, text=True, check=True).stdout


@pytest.fixture
def words():
    with enclosure.opened(NAME) as words:
        yield words


def test_it_has_a_network_processes_and_a_store_of_its_own(words):
    (paths.STORE / "outside").touch()
    try:
        devices = inside(words, "ls /sys/class/net").split()
        assert {name for name in devices if name.startswith(enclosure.PREFIX)} and paths.BRIDGE not in devices
        assert int(inside(words, "echo $$")) < 100
        assert "outside" not in inside(words, f"ls {paths.STORE}")
        inside(words, f"touch {paths.STORE}/inside {paths.STATE}/inside")
        assert not (paths.STORE / "inside").exists() and not (paths.STATE / "inside").exists()
    finally:
        (paths.STORE / "outside").unlink()


def test_it_reaches_what_this_machine_reaches_also_after_its_own_nodes_were_removed(words):
    """The name server is beyond this machine, as the mirrors of Debian are."""
    inside(words, "getent hosts deb.debian.org")
    inside(words, f"{sys.executable} -P -m labtool nodes-destroy && getent hosts deb.debian.org")


def test_it_is_had_by_one_at_a_time(words):
    with pytest.raises(LabError, match=f"running the scenario {NAME}"), enclosure.opened(NAME):
        pass


def test_while_somebody_wants_enclosures_they_are_in_use():
    with enclosure.wanted(), enclosure.wanted():
        assert enclosure.in_use()


def test_a_run_that_is_killed_leaves_no_process_and_the_next_one_removes_the_rest():
    run = subprocess.Popen([sys.executable, "-c", PROGRAM])
    sleeper = f"/proc/{find('sleep', '4323')}"
    run.send_signal(signal.SIGKILL)
    run.wait()
    deadline = time.monotonic() + 5
    while os.path.exists(sleeper) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not os.path.exists(sleeper)
    with enclosure.opened("of-another-test"):  # may get the number of the one that is left
        pass
    with enclosure.opened(NAME):
        pass
    assert not enclosure.place(NAME).exists()
    assert NAME not in os.listdir("/run/netns")
    for table in ("filter", "nat"):
        rules = subprocess.run(["iptables", "--wait", "-t", table, "-S"], capture_output=True, text=True, check=True).stdout
        assert NAME not in rules


def find(*words):
    """The process of this machine with these words, in whichever enclosure."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        for entry in os.listdir("/proc"):
            if entry.isdigit():
                try:
                    if open(f"/proc/{entry}/cmdline").read().rstrip("\0").split("\0") == list(words):
                        return int(entry)
                except OSError:
                    continue
        time.sleep(0.05)
    raise AssertionError(f"no process {words}")
