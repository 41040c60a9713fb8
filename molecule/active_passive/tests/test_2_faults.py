"""What can fail does, with a copy of the mail on each node's own disk."""

from __future__ import annotations

import time

from clients import eventually
from failover import Failover, acknowledged
from faults import break_disk, repair_disk


class TestFaults(Failover):
    def test_a_disk_that_fails_cuts_nobody_off(self, pair, load):
        old = pair.active()
        break_disk(old)
        try:
            eventually(lambda: "ds:Diskless/UpToDate" in old.run("cat /proc/drbd"), 60, "DRBD that goes on over the network")
            done = acknowledged(load)
            time.sleep(5)
            assert acknowledged(load) > done
        finally:
            repair_disk(old)
        old.run("drbdadm attach mail")
        # Pacemaker may have looked meanwhile, and taken the service to the copy that is whole.
        pair.await_whole()
