"""A backend that dies or hangs under load holds up nobody for long, and nobody of another partition."""

from __future__ import annotations

import smtplib
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from clients import eventually

WORKERS = 24
SECONDS = 16
SLOWEST, SLOWEST_ELSEWHERE = 10, 2  # seconds from the first attempt to the delivery


class Load:
    """Deliveries to one user by several workers, each tried again as a mail server's queue does; the slowest counts."""

    def __init__(self, clients, user):
        self.clients, self.user = clients, user
        self.until = time.monotonic() + SECONDS
        self.slowest = 0

    def work(self):
        while time.monotonic() < self.until:
            began = time.monotonic()
            self.deliver()
            self.slowest = max(self.slowest, time.monotonic() - began)

    def deliver(self):
        while True:
            try:
                return self.clients.deliver(self.user)
            except (OSError, smtplib.SMTPException):
                time.sleep(0.3)


# a partition each: after a failure the partner may be slow for a minute (dovecot_director_monitor_hold)
@pytest.mark.first
@pytest.mark.parametrize(("how", "partition", "other"), [("the node dies", "a", "b"), ("dovecot hangs", "b", "a")])
def test_a_backend_that_fails_holds_up_deliveries_for_less_than_ten_seconds(
    how, partition, other, nodes, lab_node, lab_is_whole, clients, users
):
    director = nodes.of("dovecot_directors")[0]
    user = users[partition][0]
    clients.deliver(user, attempts=60)
    place = director.doveadm("director", "status", user, partition)[0]["status"]
    backend = next(node for node in nodes.pair_of(partition) if node.address == place)
    here, elsewhere = Load(clients, user), Load(clients, users[other][0])
    try:
        with ThreadPoolExecutor(WORKERS) as pool:
            workers = [pool.submit(load.work) for load in (here, elsewhere) for _number in range(WORKERS // 2)]
            time.sleep(3)
            if how == "the node dies":
                lab_node.kill(backend)
            else:
                backend.run("systemctl kill --signal=STOP dovecot")
            for worker in workers:
                worker.result()
    finally:
        if how == "the node dies":
            lab_node.start(backend)
        else:
            backend.run("systemctl kill --signal=CONT dovecot")
        eventually(lab_is_whole, 60, "a whole cluster", interval=1)
    print(f"slowest delivery to {user}: {here.slowest:.1f} s, to the other partition: {elsewhere.slowest:.1f} s")
    assert here.slowest < SLOWEST
    assert elsewhere.slowest < SLOWEST_ELSEWHERE
