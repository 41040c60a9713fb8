"""What can fail does, with the mail on a disk of a SAN that both nodes see."""

from __future__ import annotations

from clients import eventually
from failover import BOUND, Failover

# The disk of sbd.
MESSAGES = "/dev/disk/by-id/wwn-0x60014050000061100000000000000000"


class TestFaults(Failover):
    def test_a_node_that_loses_the_san_leaves_the_service_to_the_other(self, pair, load, nodes):
        old = pair.active()
        san = nodes["san1"].address
        old.run(
            "nft 'add table inet gone; add chain inet gone out { type filter hook output priority 0; }; "
            f"add rule inet gone out ip daddr {san} drop'"
        )
        eventually(lambda: pair.active() is pair.other(old), BOUND, "the other node to serve", interval=2)
        # It may have been reset meanwhile, and then the rule is gone.
        eventually(lambda: old.is_up(), BOUND, "a node that is up", interval=2)
        old.host.run("nft delete table inet gone")
        eventually(lambda: old.host.run(f"dd if={MESSAGES} of=/dev/null count=1").rc == 0, BOUND, "the SAN back", interval=2)
