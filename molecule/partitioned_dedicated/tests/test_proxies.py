"""Proxies without mail send each user home, by IMAP, POP3, LMTP and ManageSieve; the users are in a directory."""

from __future__ import annotations

import uuid

import pytest
from clients import eventually, must, sasl_answer
from partitions import answers_of, database_node, deliver_to_all, forget, holders, pop3_messages, refusal


@pytest.fixture
def homes(lab, nodes):
    """User to the name of the backend that has the mail."""
    backends = {node.partition: node.name for node in nodes.of("dovecot_backends")}
    return {user["name"]: backends[user["partition"]] for user in lab["users"]}


def test_a_message_comes_in_and_out_through_the_vip_and_is_at_home_only(homes, clients, nodes):
    for user, home in homes.items():
        message_id = clients.deliver(user)
        assert clients.has(user, message_id)
        assert holders(nodes, user, message_id) == [home]


@pytest.mark.parametrize("proxy", ["proxy1", "proxy2"])
def test_each_proxy_serves_everybody_by_imap_and_pop3(proxy, homes, clients, nodes):
    for user in homes:
        message_id = clients.deliver(user, host=nodes[proxy].address)
        assert clients.has(user, message_id, host=nodes[proxy].address)
        assert pop3_messages(clients, user, nodes[proxy].address) > 0


def test_a_sieve_script_is_put_where_the_mail_is(homes, clients, nodes):
    for user, home in homes.items():
        sieve = clients.sieve(user)
        sieve.put("kept", "keep;\r\n")
        sieve.close()
        assert "kept" in nodes[home].run("doveadm sieve list -u %s", user)


def test_one_lmtp_transaction_for_recipients_on_all_backends(homes, clients, nodes):
    message_id = f"{uuid.uuid4()}@example.net"
    deliver_to_all(clients, clients.vip, list(homes), message_id)
    for user, home in homes.items():
        assert holders(nodes, user, message_id) == [home]


def test_of_several_recipients_an_unknown_one_alone_is_refused(homes, clients):
    codes = answers_of(clients, clients.vip, *homes, "nobody@example.org")
    assert codes.pop("nobody@example.org") == 550
    assert set(codes.values()) == {250}


def test_a_wrong_password_is_refused(clients):
    for user in ("alice@example.org", "erin@example.org", "postmaster@example.org"):
        assert "AUTHENTICATIONFAILED" in refusal(clients, user, password="wrong")


@pytest.mark.parametrize("proxy", ["proxy1", "proxy2"])
def test_a_mail_server_has_passwords_judged_and_is_told_no_more(proxy, homes, clients, nodes):
    for user in homes:
        right = sasl_answer(nodes[proxy].address, "smtp", user, clients.passwords[user])
        assert right.split() == ["OK", "1", f"user={user}"]
    assert sasl_answer(nodes[proxy].address, "smtp", "alice@example.org", "wrong").startswith("FAIL")


def test_the_client_s_own_address_reaches_the_backend_s_log(homes, clients, nodes, second_address):
    user, home = next(iter(homes.items()))
    with clients.imap(user, source=second_address):
        pass
    eventually(lambda: f"rip={second_address}" in nodes[home].run("journalctl -u dovecot -n 50 -o cat"), what="the address")


def test_everybody_is_listed_on_proxies_and_only_their_own_users_on_backends(homes, nodes):
    for proxy in nodes.of("dovecot_proxies"):
        assert set(proxy.run("doveadm user '*'").split()) == set(homes)
    for backend in nodes.of("dovecot_backends"):
        listed = set(backend.run("doveadm user '*'").split())
        assert listed == {user for user, home in homes.items() if home == backend.name}


def test_no_credential_is_readable_by_others(nodes):
    for node in (*nodes.of("dovecot_proxies"), *nodes.of("dovecot_backends")):
        file = node.host.file("/etc/dovecot/databases/ldap.conf.ext")
        assert (file.mode, file.user) == (0o600, "root")
        assert "dnpass" not in node.run("cat /etc/dovecot/mailcluster.d/*.conf")


# --- What goes wrong


@pytest.fixture
def directory(nodes):
    with database_node(nodes, "ldap1", "slapd") as node:
        yield node


def test_a_directory_that_is_down_is_a_temporary_failure_and_no_bounce(homes, clients, nodes, directory):
    directory.run("systemctl stop slapd")
    forget(nodes)
    # one of each backend: each question takes seconds
    users = ["alice@example.org", "carol@example.org", "erin@example.org"]
    codes = answers_of(clients, clients.vip, *users, "nobody@example.org")
    assert all(400 <= code < 500 for code in codes.values()), codes
    assert all("UNAVAILABLE" in refusal(clients, user) for user in users)
    directory.run("systemctl start slapd")
    for user in users:
        message_id = eventually(lambda user=user: clients.deliver(user), 30, "a delivery after the directory is up again")
        assert clients.has(user, message_id)


def test_who_was_asked_for_lately_can_log_in_while_the_directory_is_down(homes, clients, nodes, directory):
    user = "alice@example.org"
    for proxy in nodes.of("dovecot_proxies"):
        with clients.imap(user, host=proxy.address):
            pass
    directory.run("systemctl stop slapd")
    with clients.imap(user):
        pass


@pytest.fixture
def home_of(nodes):
    """A function that writes a home server into the directory; afterwards it is what it was."""
    ldap, changed = nodes["ldap1"], {}

    def write(user, value):
        ldap.run(
            "printf 'dn: mail=%s,ou=people,dc=example,dc=org\\nchangetype: modify\\nreplace: mailHost\\nmailHost: %s\\n' | "
            "ldapmodify -x -D cn=admin,dc=example,dc=org -y /etc/ldap/lab-password",
            user,
            value,
        )
        forget(nodes)

    def change(user, value, former):
        changed.setdefault(user, former)
        write(user, value)

    yield change
    for user, former in changed.items():
        write(user, former)


@pytest.mark.parametrize("value", ["z", "198.51.100.99", "mail.example.org"])
def test_a_home_that_is_no_node_is_refused_for_its_user_alone(value, homes, clients, nodes, home_of):
    user = "erin@example.org"
    home_of(user, value, "c")
    assert "UNAVAILABLE" in refusal(clients, user)
    codes = answers_of(clients, clients.vip, *homes)
    assert 400 <= codes.pop(user) < 500, "the sender would get a bounce, or the mail be lost"
    assert set(codes.values()) == {250}, "others are affected"
    logs = "".join(proxy.run("journalctl -u dovecot -n 200 -o cat") for proxy in nodes.of("dovecot_proxies"))
    assert f"DNS lookup for {value}.names-no-partition.user.{user}.invalid. failed" in logs


def test_a_dead_proxy_is_passed_over(homes, clients, nodes, lab_node):
    lab_node.kill(nodes["proxy1"])
    for user in homes:
        message_id = eventually(lambda user=user: clients.deliver(user), 30, "a delivery through the other proxy")
        # each service notices by itself
        eventually(lambda user=user, message_id=message_id: clients.has(user, message_id), 30, "a login through the other proxy")


def test_a_dead_backend_is_a_temporary_failure_for_its_users_alone(homes, clients, nodes):
    nodes["c1"].run("systemctl stop dovecot")
    try:
        codes = answers_of(clients, clients.vip, *homes)
        for user, home in homes.items():
            assert (400 <= codes[user] < 500) if home == "c1" else codes[user] == 250, codes
    finally:
        nodes["c1"].run("systemctl start dovecot")


def test_as_master_user_a_proxy_is_believed_and_nobody_else(homes, clients, nodes, ansible, lab):
    done = ansible("site.yml", "-e", "dovecot_proxy_login=master", "-e", "dovecot_proxy_master_password=0123456789abcdef")
    try:
        assert done.returncode == 0, done.stdout[-3000:]
        for user in homes:
            message_id = clients.deliver(user)
            assert clients.has(user, message_id)
        for user in ("alice@example.org", "postmaster@example.org"):
            assert "AUTHENTICATIONFAILED" in refusal(clients, user, password="wrong")
            home = nodes[homes[user]]
            assert "AUTHENTICATIONFAILED" in as_master(clients, user, home.address), "whoever knows the secret reads all mail"
    finally:
        done = ansible("site.yml")
        assert done.returncode == 0, done.stdout[-3000:]


def as_master(clients, user, host):
    import imaplib

    from clients import IMAPS, unverified

    connection = IMAPS(host, clients.ports["imaps"], unverified())
    try:
        must(connection.authenticate("PLAIN", lambda _challenge: f"{user}\0proxy\x000123456789abcdef".encode()))
    except imaplib.IMAP4.error as error:
        return str(error)
    return "let in"
