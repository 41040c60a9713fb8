"""The fixtures of this scenario, beside those of all."""

import pytest
from active_passive import Pair


@pytest.fixture(scope="session")
def pairs(nodes):
    """By partition."""
    found = {partition: Pair(nodes.pair_of(partition)) for partition in ("a", "b")}
    for pair in found.values():
        pair.await_whole()
    return found
