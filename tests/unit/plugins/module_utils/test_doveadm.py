"""What doveadm complains about, as the modules tell it."""

from __future__ import annotations

import pytest

from ansible_collections.mailcluster.dovecot.plugins.module_utils import _doveadm

ARGV = ["doveadm", "director", "status"]
# Of doveadm 2.3.19.1, at a socket whose process ends at once: which of them depends on who is faster.
ENDED_AT_ONCE = (
    "Fatal: read(/run/dovecot/director-admin) failed: read(size=8192) failed: Connection reset by peer\n",
    "Fatal: write(/run/dovecot/director-admin) failed: Broken pipe\n",
)


@pytest.mark.parametrize("stderr", ENDED_AT_ONCE)
def test_a_node_that_is_no_director_is_told_whoever_is_faster(stderr):
    error = _doveadm.failure(ARGV, 75, "", stderr)
    assert isinstance(error, _doveadm.NotRunning)
    assert "run it on another node" in str(error)
