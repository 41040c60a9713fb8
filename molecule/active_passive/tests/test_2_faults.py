"""What can fail does, with a copy of the mail on each node's own disk."""

from __future__ import annotations

from clients import eventually
from failover import BOUND, Failover, acknowledged
from faults import break_disk, repair_disk


class TestFaults(Failover):
    def test_a_disk_that_fails_is_no_error_for_clients(self, pair, load):
        old = pair.active()
        break_disk(old)
        try:
            eventually(lambda: "ds:Diskless/UpToDate" in old.run("cat /proc/drbd"), 60, "DRBD that goes on over the network")
            done = acknowledged(load)
            eventually(lambda: acknowledged(load) > done, BOUND, "mail that goes through")
        finally:
            repair_disk(old)
        old.run("drbdadm attach mail")
        # Pacemaker may have looked meanwhile, and taken the service to the copy that is whole: that cuts connections.
        pair.await_whole()
        assert not [told for told in load.refused if "nternal error" in told]
