"""A test that measures comes first on the machine's processors."""

from __future__ import annotations

import os
import subprocess
import sys

PROGRAM = """
import os, subprocess, sys
from labtool import priority

def priorities():
    told = subprocess.run(["nice"], capture_output=True, text=True, check=True).stdout.strip()
    return [os.getpriority(os.PRIO_PROCESS, pid) for pid in (0, before.pid, low.pid)] + [int(told)]

os.setpriority(os.PRIO_PROCESS, 0, priority.PLAIN)  # these tests may be run with a low one
before = subprocess.Popen(["sleep", "60"])
low = subprocess.Popen(["nice", "-n", "10", "sleep", "60"])
while priorities()[2] != 10: pass
with priority.first():
    print(priorities())
print(priorities())
"""


def test_a_test_that_measures_comes_first_with_its_nodes_and_what_they_start():
    inside = ["unshare", "--pid", "--mount", "--mount-proc", "--fork", "--kill-child", sys.executable, "-c", PROGRAM]
    done = subprocess.run(
        inside, env=os.environ | {"LAB_ENCLOSED": "yes"}, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout.splitlines() == ["[-20, -20, 10, -20]", "[0, 0, 10, 0]"], done.stderr
