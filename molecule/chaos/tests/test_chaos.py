"""Everything fails, one after the other, under load that never pauses: nothing that was acknowledged is lost or doubled."""

from __future__ import annotations

import pytest
from acknowledged import Load
from chaos import contradictions, table, unleash
from faults import Cluster

USERS = 2  # of each partition
# Seconds. What each takes on an idle machine is in docs/directors.md.
LONGEST = 60
# The share of deleted folders that may come back, a limit of dsync: "What comes back" in docs/replication.md. Two runs of this
# test counted 4 of 72 and 3 of 58; of so few, more than this share is unlikely at their rate.
COMES_BACK = 0.15


@pytest.fixture
def some(users):
    return {partition: names[:USERS] for partition, names in users.items()}


@pytest.fixture
def cluster(nodes, some, lab_node, ansible, vip_holder, lab_is_whole):
    cluster = Cluster(nodes, some, lab_node, ansible, vip_holder, lab_is_whole)
    cluster.await_whole()
    return cluster


def test_each_acknowledged_thing_is_there_exactly_once_after_every_fault(cluster, clients, nodes, some):
    with Load(clients, some) as load:
        outcomes = unleash(cluster, load, minutes=0)
    wrong, counted = contradictions(load, nodes, some)
    print("\n".join(table(outcomes)))
    print(", ".join(f"{number} {kind}" for kind, number in counted.items()))
    back = [sentence for sentence in wrong if "the folder" in sentence and sentence.endswith("was deleted and is there")]
    most = COMES_BACK * counted["deleted"]
    assert len(back) <= most, f"{len(back)} of {counted['deleted']} folders came back: {back}"
    wrong = [sentence for sentence in wrong if sentence not in back]
    assert not wrong, f"{len(wrong)} of {sum(counted.values())} acknowledged things are not so: {wrong[:5]}"
    assert min(counted[kind] for kind in ("delivered", "appended", "flagged", "expunged", "created", "deleted")) > 0
    slow = [outcome for outcome in outcomes if max(outcome.delivery, outcome.imap) > LONGEST]
    assert not slow, f"somebody waited for more than {LONGEST} s: {slow}"
