"""What a cluster logs that nobody uses."""

from __future__ import annotations

import time

from storage import clock

SECONDS = 20
# Each node looks at its own certificate as a client would, once in a quarter of an hour.
OWN = "rip=127.0.0.1, lip=127.0.0.1"


def said_while_idle(nodes):
    """Node -> what its mail service logged in a time in which all were checked for their health many times."""
    node = next(iter(nodes))
    time.sleep(2)  # the log's times are asked for in whole seconds, and a session of before is no part of this
    since = clock(node)
    time.sleep(SECONDS)
    read = "journalctl -q -u dovecot -u haproxy -u keepalived --no-pager -o cat --since %s"
    logs = {node.name: [line for line in node.run(read, since).splitlines() if OWN not in line] for node in nodes}
    return {name: lines for name, lines in logs.items() if lines}
