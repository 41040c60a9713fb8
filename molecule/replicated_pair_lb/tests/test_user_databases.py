"""Users of a pair in dovecot_users, in a file of SQLite and in MySQL, asked in this order."""

from __future__ import annotations

import pytest
from clients import eventually
from pairs import await_equal
from partitions import answers_of, refusal

USERS = {"passwd_file": "alice@example.org", "sqlite": "oscar@example.org", "mysql": "mallory@example.org"}


@pytest.fixture
def pair(nodes):
    return nodes.pair_of("pair")


@pytest.mark.parametrize("driver", USERS)
def test_users_of_each_database_have_their_mail_on_both_nodes(driver, clients, pair):
    user = USERS[driver]
    delivered = [clients.deliver(user, host=node.address) for node in pair]
    await_equal(pair, [user])
    for node in pair:
        assert all(clients.has(user, message_id, host=node.address) for message_id in delivered)
        assert "AUTHENTICATIONFAILED" in refusal(clients, user, host=node.address, password="wrong")


def test_each_node_lists_the_users_of_all_databases(clients, pair):
    for node in pair:
        assert sorted(node.run("doveadm user '*'").split()) == sorted(clients.passwords)


def test_no_credential_is_readable_by_others(pair):
    for node in pair:
        file = node.host.file("/etc/dovecot/databases/mysql.conf.ext")
        assert (file.mode, file.user) == (0o600, "root")


def test_while_mysql_is_down_its_users_get_a_temporary_failure_and_others_their_mail(clients, nodes, pair):
    nodes["sql1"].run("systemctl stop mariadb")
    try:
        for node in pair:
            node.run("doveadm auth cache flush")
        # an authentication worker that was connected gives up after a minute
        codes = answers_of(clients, clients.vip, *USERS.values(), timeout=80)
        assert 400 <= codes.pop(USERS["mysql"]) < 500 and set(codes.values()) == {250}
    finally:
        nodes["sql1"].run("systemctl start mariadb")
    eventually(lambda: clients.deliver(USERS["mysql"]), 30, "a delivery after the database is up again")
