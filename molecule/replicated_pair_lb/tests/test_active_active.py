"""The pair behind load balancers: clients come to both nodes, whichever dies."""

from __future__ import annotations

import pytest
from clients import eventually
from pairs import Load, assert_nothing_lost, await_equal, await_quiet


@pytest.fixture
def pair(nodes):
    return nodes.pair_of("pair")


def test_every_service_answers_at_the_vip(clients):
    user = sorted(clients.passwords)[0]
    message_id = clients.deliver(user)
    eventually(lambda: clients.has(user, message_id), what="the message by IMAP, on whichever node")
    clients.imap_starttls().logout()
    for pop3 in (clients.pop3s(), clients.pop3_starttls()):
        pop3.user(user)
        pop3.pass_(clients.passwords[user])
        pop3.quit()
    clients.sieve(user).close()


def test_both_nodes_take_clients_and_see_their_own_addresses(clients, pair, lab):
    user = sorted(clients.passwords)[1]
    since = pair[0].run("date '+%Y-%m-%d %H:%M:%S'").strip()
    for _login in range(6):
        with clients.imap(user):
            pass
    client = lab["entry"].rsplit(".", 1)[0] + ".1"
    for node in pair:
        log = node.run("journalctl -u dovecot --since %s", since)
        logins = [line for line in log.splitlines() if "Login: user=<" + user in line]
        assert logins, f"no login reached {node.name}"
        assert all(f"rip={client}" in line for line in logins)


def test_a_node_dies_under_load_and_comes_back(clients, pair, lab_node, lab_is_whole):
    users = sorted(clients.passwords)
    with Load(clients, users) as load:
        lab_node.kill(pair[0])
        eventually(lambda: clients.deliver(users[0], timeout=3), 30, "a delivery to the other node")
        lab_node.start(pair[0])
        eventually(lab_is_whole, 60, "a whole cluster", interval=2)
    assert_nothing_lost(load, await_equal(pair, users))
    await_quiet(pair)
