"""What can fail does, under load: nothing that was acknowledged is lost or doubled, and mail goes through again.

Both kinds of active/passive pairs go through this. A scenario subclasses Failover, and gives the fixture C(pair).
"""

from __future__ import annotations

import pytest
from active_passive import longest, under_load
from clients import eventually
from faults import cut, join

# Seconds, on a machine that does other things too. What each takes on an idle one: ./lab bench active_passive
BOUND = 150


def boot(node):
    return node.run("cat /proc/sys/kernel/random/boot_id")


def was_off(node, before):
    """Whether it is off, or has started since: one that resets itself is back after some seconds."""
    try:
        return boot(node) != before
    except RuntimeError:  # ssh itself failed
        return True


def let_come_back(pair, lab_node, node):
    """A BMC switches the node on again when it has made sure that it is off. Without one, the lab does."""
    if pair.bmcs:
        lab_node.killed.remove(node)
    else:
        lab_node.start(node)


def acknowledged(load):
    return sum(len(load.all_of(user)) for user in load.users)


class Failover:
    @pytest.fixture
    def some(self, users):
        return [name for names in users.values() for name in names][:2]

    @pytest.fixture
    def load(self, pair, clients, some):
        """Runs until the end of the test, then all that was acknowledged is looked for. Whoever failed is cleared."""
        pair.await_whole()
        with under_load(pair, clients, some) as load:
            yield load
            pair.await_whole()
        pair.active().run("crm_resource --cleanup --quiet")
        assert longest(load) < BOUND

    def test_a_node_that_loses_its_power(self, pair, load, lab_node):
        old = pair.active()
        lab_node.kill(old)
        eventually(lambda: pair.active() is pair.other(old), BOUND, "the other node to serve", interval=2)
        let_come_back(pair, lab_node, old)

    def test_a_passive_node_that_is_away_for_a_while(self, pair, load, lab_node):
        active = pair.active()
        lab_node.kill(passive := pair.other(active))
        eventually(lambda: not pair.is_online(passive), BOUND, "the active node to notice", interval=2)
        let_come_back(pair, lab_node, passive)
        assert pair.await_whole() is active
        assert longest(load) < 20

    def test_both_nodes_lose_their_power(self, pair, load, lab_node):
        for node in pair.nodes:
            lab_node.kill(node)
        for node in pair.nodes:
            lab_node.start(node)
        eventually(pair.active, BOUND, "a node that serves", interval=2)

    def test_a_dovecot_that_crashes_is_started_again_on_its_node(self, pair, load):
        old = pair.active()
        old.run("systemctl kill --kill-who=main --signal=KILL dovecot")
        eventually(lambda: load.outages, BOUND, "mail that goes through again")
        assert pair.active() is old

    def test_a_dovecot_that_hangs_is_started_again(self, pair, load):
        pair.active().run("systemctl kill --signal=STOP dovecot")
        eventually(lambda: load.outages, BOUND, "mail that goes through again")

    def test_of_two_nodes_that_lose_each_other_one_survives(self, pair, load):
        boots = {node.name: boot(node) for node in pair.nodes}
        cut(pair.nodes)
        try:
            eventually(lambda: any(was_off(node, boots[node.name]) for node in pair.nodes), BOUND, "a node that is switched off")
            done = acknowledged(load)
            eventually(lambda: acknowledged(load) > done, BOUND, "mail that goes through")
        finally:
            join(pair.nodes)
        pair.await_whole()
        assert [boot(node) == boots[node.name] for node in pair.nodes].count(True) == 1

    def test_the_service_is_switched_over(self, pair, load, ansible):
        old = pair.active()
        done = ansible("switch_over.yml")
        assert done.returncode == 0, done.stdout[-3000:]
        assert pair.active() is pair.other(old)

    def test_verify_finds_nothing_wrong_and_has_the_passive_node_fenced_when_asked_to(self, pair, ansible):
        active = pair.await_whole()
        passive = pair.other(active)
        before = boot(passive)
        done = ansible("verify.yml", "-e", "dovecot_verify_fencing=true")
        assert done.returncode == 0, done.stdout[-3000:]
        assert boot(passive) != before
        assert pair.await_whole() is active
