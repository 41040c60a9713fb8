"""Day-2 work, where it differs from that of a pair with DRBD."""

from __future__ import annotations

from failover import boot


def test_verify_finds_nothing_wrong_and_has_the_passive_node_reset_when_asked_to(pair, ansible):
    active = pair.await_whole()
    passive = pair.other(active)
    before = boot(passive)
    done = ansible("verify.yml", "-e", "dovecot_verify_fencing=true")
    assert done.returncode == 0, done.stdout[-3000:]
    assert boot(passive) != before
    assert pair.await_whole() is active
