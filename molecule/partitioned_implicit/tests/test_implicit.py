"""Every backend accepts everybody and passes on those who live elsewhere; the users are in an SQL server."""

from __future__ import annotations

import uuid

import pytest
from clients import eventually, sasl_answer
from partitions import answers_of, database_node, deliver_to_all, forget, holders, pop3_messages, refusal

BACKENDS = ("a1", "b1", "c1")


@pytest.fixture
def homes(lab):
    return {user["name"]: f"{user['partition']}1" for user in lab["users"]}


@pytest.mark.parametrize("entry", BACKENDS)
def test_everybody_finds_his_mail_wherever_he_logs_in(entry, homes, clients, nodes):
    address = nodes[entry].address
    for user, home in homes.items():
        message_id = clients.deliver(user, host=address)
        assert clients.has(user, message_id, host=address)
        assert holders(nodes, user, message_id) == [home]
        assert pop3_messages(clients, user, address) > 0


@pytest.mark.parametrize("entry", BACKENDS)
def test_a_sieve_script_is_put_where_the_mail_is(entry, homes, clients, nodes):
    for user, home in homes.items():
        sieve = clients.sieve(user, host=nodes[entry].address)
        sieve.put(f"from-{entry}", "keep;\r\n")
        sieve.close()
        assert f"from-{entry}" in nodes[home].run("doveadm sieve list -u %s", user)


@pytest.mark.parametrize("entry", BACKENDS)
def test_one_lmtp_transaction_for_recipients_on_all_backends(entry, homes, clients, nodes):
    message_id = f"{uuid.uuid4()}@example.net"
    deliver_to_all(clients, nodes[entry].address, list(homes), message_id)
    for user, home in homes.items():
        assert holders(nodes, user, message_id) == [home]


def test_of_several_recipients_an_unknown_one_alone_is_refused(homes, clients, nodes):
    codes = answers_of(clients, nodes["a1"].address, *homes, "nobody@example.org")
    assert codes.pop("nobody@example.org") == 550
    assert set(codes.values()) == {250}


@pytest.mark.parametrize("entry", BACKENDS)
def test_a_wrong_password_is_refused(entry, clients, nodes):
    for user in ("alice@example.org", "erin@example.org"):
        assert "AUTHENTICATIONFAILED" in refusal(clients, user, host=nodes[entry].address, password="wrong")


@pytest.mark.parametrize("entry", BACKENDS)
def test_a_mail_server_has_passwords_judged_and_is_told_no_more(entry, homes, clients, nodes):
    for user in homes:
        right = sasl_answer(nodes[entry].address, "smtp", user, clients.passwords[user])
        assert right.split() == ["OK", "1", f"user={user}"]
    assert sasl_answer(nodes[entry].address, "smtp", "alice@example.org", "wrong").startswith("FAIL")


def test_each_backend_lists_its_own_users(homes, nodes):
    for entry in BACKENDS:
        assert set(nodes[entry].run("doveadm user '*'").split()) == {user for user, home in homes.items() if home == entry}


def test_no_credential_is_readable_by_others(nodes):
    for entry in BACKENDS:
        file = nodes[entry].host.file("/etc/dovecot/databases/pgsql.conf.ext")
        assert (file.mode, file.user) == (0o600, "root")


# partitioned_dedicated has the like for a directory, with other doors, answers and times: each is written out.
@pytest.fixture
def database(nodes):
    with database_node(nodes, "sql1", "postgresql@15-main") as node:
        yield node


def test_a_database_that_is_down_is_a_temporary_failure_and_no_bounce(homes, clients, nodes, database):
    database.run("systemctl stop postgresql@15-main")
    forget(nodes)
    # Dovecot answers the second question only after a minute, when it gives up
    codes = answers_of(clients, nodes["a1"].address, "alice@example.org", "nobody@example.org", timeout=80)
    assert all(400 <= code < 500 for code in codes.values()), codes
    assert "UNAVAILABLE" in refusal(clients, "carol@example.org", host=nodes["b1"].address)
    database.run("systemctl start postgresql@15-main")
    for user in homes:
        message_id = eventually(
            lambda user=user: clients.deliver(user, host=nodes["a1"].address), 60, "a delivery after the database is up again"
        )
        assert clients.has(user, message_id, host=nodes["b1"].address)


def test_a_database_server_that_does_not_answer_at_all_is_passed_over(clients, nodes):
    """The first of the list, as if its machine were gone behind a router."""
    node, user = nodes["b1"], "carol@example.org"
    node.run(
        "nft 'add table inet gone; add chain inet gone out { type filter hook output priority 0; }; "
        "add rule inet gone out ip daddr 198.51.100.31 tcp dport 5432 drop'"
    )
    try:
        # so that it has to connect again; after a reload, logins are cut for a moment besides
        node.run("systemctl restart dovecot")
        message_id = eventually(lambda: clients.deliver(user, host=node.address, timeout=15), 20, "a delivery")
        assert clients.has(user, message_id, host=node.address)
    finally:
        node.run("nft delete table inet gone")


@pytest.mark.parametrize("value", ["z", "198.51.100.99"])
def test_a_home_that_is_no_node_is_refused_for_its_user_alone(value, homes, clients, nodes, database):
    user = "erin@example.org"
    change = "runuser -u postgres -- psql -qd mail -c \"UPDATE users SET partition = '{}' WHERE username = '{}'\""
    database.run("cd /; " + change.format(value, user))
    forget(nodes)
    try:
        assert "UNAVAILABLE" in refusal(clients, user, host=nodes["a1"].address)
        codes = answers_of(clients, nodes["a1"].address, *homes)
        assert 400 <= codes.pop(user) < 500, "the sender would get a bounce, or the mail be lost"
        assert set(codes.values()) == {250}, "others are affected"
        log = nodes["a1"].run("journalctl -u dovecot -n 200 -o cat")
        assert f"DNS lookup for {value}.names-no-partition.user.{user}.invalid. failed" in log
    finally:
        database.run("cd /; " + change.format("c", user))
