"""What can fail does, under load: nothing that was acknowledged is lost or doubled, and mail goes through again."""

from __future__ import annotations

import time

import pytest
from active_passive import longest, under_load
from clients import eventually
from faults import break_disk, cut, join, repair_disk

# Seconds, on a machine that does other things too. What each takes on an idle one: ./lab bench active_passive
BOUND = 150


@pytest.fixture
def some(users):
    return [name for names in users.values() for name in names][:2]


@pytest.fixture
def load(pair, clients, some):
    """Runs until the end of the test, then all that was acknowledged is looked for. Whoever failed is cleared."""
    pair.await_whole()
    with under_load(pair, clients, some) as load:
        yield load
        pair.await_whole()
    pair.active().run("crm_resource --cleanup --quiet")
    assert longest(load) < BOUND


def test_a_node_that_loses_its_power(pair, load, lab_node):
    old = pair.active()
    lab_node.kill(old)
    # Its BMC switches it on again when it has made sure that it is off.
    eventually(lambda: pair.active() is pair.other(old), BOUND, "the other node to serve", interval=2)
    lab_node.killed.remove(old)


def test_a_dovecot_that_crashes_is_started_again_on_its_node(pair, load):
    old = pair.active()
    old.run("systemctl kill --kill-who=main --signal=KILL dovecot")
    eventually(lambda: load.outages, BOUND, "mail that goes through again")
    assert pair.active() is old


def test_a_dovecot_that_hangs_is_started_again(pair, load):
    pair.active().run("systemctl kill --signal=STOP dovecot")
    eventually(lambda: load.outages, BOUND, "mail that goes through again")


def test_of_two_nodes_that_lose_each_other_one_survives(pair, load, nodes):
    boots = {node.name: boot(node) for node in pair.nodes}
    cut(pair.nodes)
    try:
        eventually(lambda: [node for node in pair.nodes if not node.is_up()], BOUND, "a node that is switched off")
        eventually(lambda: len(load.outages) > 0, BOUND, "mail that goes through again")
    finally:
        join(pair.nodes)
    pair.await_whole()
    assert [boot(node) == boots[node.name] for node in pair.nodes].count(True) == 1


def boot(node):
    return node.run("cat /proc/sys/kernel/random/boot_id")


def test_a_disk_that_fails_cuts_nobody_off(pair, load):
    old = pair.active()
    break_disk(old)
    try:
        eventually(lambda: "ds:Diskless/UpToDate" in old.run("cat /proc/drbd"), 60, "DRBD that goes on over the network")
        done = sum(len(load.all_of(user)) for user in load.users)
        time.sleep(5)
        assert sum(len(load.all_of(user)) for user in load.users) > done
    finally:
        repair_disk(old)
    old.run("drbdadm attach mail")
    # Pacemaker may have looked meanwhile, and taken the service to the copy that is whole.
    pair.await_whole()


def test_the_service_is_switched_over(pair, load, ansible):
    old = pair.active()
    done = ansible("switch_over.yml")
    assert done.returncode == 0, done.stdout[-3000:]
    assert pair.active() is pair.other(old)
