"""The fixtures of this scenario, beside those of all."""

import pytest
from active_passive import Pair


@pytest.fixture(scope="session")
def pair(nodes):
    found = Pair(nodes.of("dovecot_active_passive"), drbd=False, bmcs=False)
    found.await_whole()
    return found
