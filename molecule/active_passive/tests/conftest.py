"""The fixtures of all scenarios."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "shared"))

import pytest  # noqa: E402
from active_passive import Pair  # noqa: E402
from fixtures import *  # noqa: E402, F403


@pytest.fixture(scope="session")
def pair(nodes):
    found = Pair(nodes.of("dovecot_active_passive"))
    found.await_whole()
    return found
