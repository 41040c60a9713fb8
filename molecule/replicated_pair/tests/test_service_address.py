"""The service address at three in the morning: it moves to the partner, and returns to a node that has caught up."""

from __future__ import annotations

import time

import pytest
from clients import eventually
from idle import said_while_idle
from interruptions import at_task
from pairs import Load, assert_nothing_lost, await_equal, await_quiet, counted, cut_off, mailboxes_of

AWAY = 12  # seconds
# clients may wait that long; what it is on this machine tells ./lab bench vip_failover
BOUND = 15  # seconds
VRRP = 112  # the number of the IP protocol


@pytest.fixture
def pair(nodes, lab_is_whole):
    eventually(lab_is_whole, 60, "a whole pair", interval=1)
    return nodes["mail1"], nodes["mail2"]


def unit(verb, name):
    return lambda node, _power: node.run(f"systemctl {verb} {name}")


WAYS = {
    "keepalived stops": (unit("stop", "keepalived"), unit("start", "keepalived")),
    "dovecot stops": (unit("stop", "dovecot"), unit("start", "dovecot")),
    "dovecot hangs": (unit("kill --signal=STOP", "dovecot"), unit("kill --signal=CONT", "dovecot")),
    "the node dies": (lambda node, power: power.kill(node), lambda node, power: power.start(node)),
}


def test_a_pair_that_nobody_uses_logs_nothing(pair):
    """keepalived looks after Dovecot, and each node after its partner, all the time."""
    assert said_while_idle(pair) == {}


@pytest.mark.first
@pytest.mark.parametrize("how", WAYS)
def test_the_vip_moves_and_returns_to_a_node_that_has_caught_up(how, pair, clients, vip_holder, lab_node):
    preferred, other = pair
    fail, fix = WAYS[how]
    users = sorted(clients.passwords)
    eventually(lambda: vip_holder().name == preferred.name, 60, "the VIP on the preferred node")

    with Load(clients, users, pause=0.2) as load:
        time.sleep(2)
        fail(preferred, lab_node)
        eventually(lambda: vip_holder().name == other.name, 20, "the VIP's move to the partner")
        time.sleep(AWAY)
        taken = {user: list(load.all_of(user)) for user in users}
        fix(preferred, lab_node)
        eventually(lambda: vip_holder().name == preferred.name, 90, "the VIP's return to the preferred node", interval=0.1)
        for user, box in mailboxes_of(preferred, users).items():
            found = counted(box)
            lacking = [name for name in taken[user] if not found[name]]
            assert not lacking, f"{preferred.name} took the VIP and lacks {len(lacking)} messages of {user}"
        time.sleep(3)

    # a keepalived that is stopped hands the VIP over, and nobody notices
    assert max(load.outages, default=0) < BOUND
    assert_nothing_lost(load, await_equal(pair, users))
    await_quiet(pair)


@pytest.fixture
def dsync_cut(pair):
    """Cuts dsync between the nodes, and nothing else; a function that repairs it, at the end of the test at the latest."""
    with cut_off(pair, "tcp dport 12347") as fix:
        yield fix


def test_the_preferred_node_does_not_get_the_vip_while_it_lacks_mail(pair, clients, vip_holder, dsync_cut):
    preferred, other = pair
    users = sorted(clients.passwords)
    preferred.run("systemctl stop dovecot")
    eventually(lambda: vip_holder().name == other.name, 20, "the VIP's move to the partner")
    taken = {user: clients.deliver(user, attempts=5) for user in users}
    preferred.run("systemctl start dovecot")
    until = time.monotonic() + AWAY
    while time.monotonic() < until:
        assert vip_holder().name == other.name, f"{preferred.name} took the VIP without the mail"
        time.sleep(0.5)
    dsync_cut()
    eventually(lambda: vip_holder().name == preferred.name, 60, "the VIP's return to the preferred node", interval=0.1)
    assert all(clients.has(user, message_id, host=preferred.address) for user, message_id in taken.items())
    await_quiet(pair)


def test_the_vip_stays_where_it_is_when_the_other_node_fails(pair, clients, vip_holder):
    preferred, other = pair
    users = sorted(clients.passwords)
    with Load(clients, users, pause=0.2) as load:
        other.run("systemctl stop dovecot")
        time.sleep(5)
        other.run("systemctl start dovecot")
        time.sleep(5)
        assert vip_holder().name == preferred.name
    assert not load.refused, f"clients were refused: {load.refused[:3]}"
    assert_nothing_lost(load, await_equal(pair, users))
    await_quiet(pair)


def test_a_user_who_cannot_be_synchronised_does_not_move_the_vip(pair, vip_holder, clients):
    """The partner's replicator counts a failure, and the holder is well."""
    preferred, other = pair
    user = sorted(clients.passwords)[0]
    eventually(lambda: vip_holder().name == preferred.name, 60, "the VIP on the preferred node")
    home = other.run("doveadm user -f home %s", user).strip()
    other.run(f"mv {home} {home}.away && touch {home}")
    try:
        other.run("doveadm replicator replicate %s", user)
        time.sleep(6)
        assert vip_holder().name == preferred.name
    finally:
        other.run(f"rm {home} && mv {home}.away {home}")
        other.run("doveadm replicator replicate %s", user)
        preferred.run("doveadm replicator replicate %s", user)
    await_quiet(pair)


@pytest.fixture
def vrrp_cut(pair, lab, vip_holder):
    """Cuts VRRP between the nodes, so that both hold the VIP; a function that repairs it, or the end of the test does."""
    with cut_off(pair, f"ip protocol {VRRP}") as fix:
        eventually(lambda: all(node.holds(lab["vip"]) for node in pair), 20, "a VIP that both nodes hold")
        yield fix
    eventually(vip_holder, 20, "a VIP that one node holds")


def test_a_vip_that_is_just_moving_is_no_failure_of_the_cluster(vrrp_cut):
    said, status = at_task("TASK [Wait for a VIP that is moving", lambda _process: vrrp_cut(), "verify.yml")
    assert status == 0, said[-3000:]
    assert "skipping" not in said.split("TASK [Read again who holds it]")[1].split("TASK")[0], "it was not held twice"


@pytest.mark.usefixtures("vrrp_cut")
def test_a_vip_that_two_nodes_go_on_holding_is_told(ansible):
    proven = ansible("verify.yml")
    assert proven.returncode != 0, proven.stdout[-3000:]
    assert "is held by mail1 and mail2: see journalctl -u keepalived on mail1 and mail2" in proven.stdout
