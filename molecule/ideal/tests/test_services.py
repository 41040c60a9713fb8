"""Every service through the VIP, as a client sees it."""

from __future__ import annotations

import imaplib
import poplib
import smtplib
import uuid

import pytest
from clients import eventually, must
from idle import said_while_idle
from storage import clock

SERVICES = ("imap", "imaps", "pop3", "pop3s", "sieve")


def log_in(clients, service, user, password):
    """Raises what the client library raises when the login is refused."""
    if service == "imap":
        connection = clients.imap_starttls()
        connection.login(user, password)
        connection.logout()
    elif service == "imaps":
        clients.connect_imap(user, password=password).logout()
    elif service == "sieve":
        clients.sieve(user, password).close()
    else:
        connection = clients.pop3s() if service == "pop3s" else clients.pop3_starttls()
        connection.user(user)
        connection.pass_(password)
        connection.quit()


@pytest.mark.parametrize("partition", ["a", "b"])
@pytest.mark.parametrize("service", SERVICES)
def test_users_of_every_partition_log_in(service, partition, clients, users):
    user = users[partition][0]
    log_in(clients, service, user, clients.passwords[user])


@pytest.mark.parametrize("service", SERVICES)
def test_a_wrong_password_is_refused(service, clients, users):
    with pytest.raises((imaplib.IMAP4.error, poplib.error_proto, PermissionError)):
        log_in(clients, service, users["a"][0], "wrong-password")


def test_no_login_without_tls(clients, users):
    user = users["a"][0]
    connection = imaplib.IMAP4(clients.vip, clients.ports["imap"], timeout=10)
    assert "LOGINDISABLED" in connection.capabilities
    with pytest.raises(imaplib.IMAP4.error):
        connection.login(user, clients.passwords[user])


@pytest.mark.parametrize("partition", ["a", "b"])
def test_a_message_goes_in_by_lmtp_and_out_by_imap_and_pop3(partition, clients, users):
    user = users[partition][1]
    message_id = clients.deliver(user)

    assert clients.has(user, message_id)
    pop3 = clients.pop3s()
    pop3.user(user)
    pop3.pass_(clients.passwords[user])
    lines = [line for number in range(pop3.stat()[0]) for line in pop3.retr(number + 1)[1]]
    pop3.quit()
    assert f"Message-ID: {message_id}".encode() in lines


def test_one_delivery_reaches_recipients_in_both_partitions(clients, users):
    recipients = [users["a"][1], users["b"][1]]
    message_id = clients.deliver(*recipients)

    for user in recipients:
        assert clients.has(user, message_id), f"{user} did not get the message"


def test_an_unknown_recipient_is_refused(clients):
    with pytest.raises(smtplib.SMTPRecipientsRefused) as refusal:
        clients.deliver("nobody@example.org")
    codes = [code for code, _text in refusal.value.recipients.values()]
    assert codes == [550]


def test_the_backend_logs_the_clients_real_address(clients, users, nodes):
    user = users["a"][2]
    with clients.imap(user) as connection:
        address = connection.sock.getsockname()[0]

    def logged():
        return [
            line
            for node in nodes.pair_of("a")
            for line in node.run("journalctl -u dovecot --no-pager -o cat").splitlines()
            if "imap-login: Login:" in line and f"user=<{user}>" in line and f"rip={address}" in line
        ]

    eventually(logged, what=f"a login of {user} from {address} in a backend's log")


def test_a_sieve_rule_files_a_message_and_works_on_both_nodes(clients, users, nodes, replicated):
    user, subject = users["b"][2], f"invoice {uuid.uuid4()}"
    sieve = clients.sieve(user)
    sieve.put(
        "rules", 'require ["fileinto", "mailbox"];\nif header :contains "Subject" "invoice" { fileinto :create "Invoices"; }\n'
    )
    sieve.activate("rules")
    sieve.close()

    message_id = clients.deliver(user, subject=subject)

    assert clients.has(user, message_id, folder="Invoices")
    replicated(user, "b", message_id, folder="Invoices")
    for node in nodes.pair_of("b"):
        eventually(
            lambda node=node: "rules ACTIVE" in node.run("doveadm sieve list -u %s", user),
            what=f"the active script of {user} on {node.name}",
        )
        direct = clients.deliver(user, subject=subject, host=node.address)
        assert clients.has(user, direct, folder="Invoices", host=node.address), f"Sieve did not file on {node.name}"


def test_the_same_user_lands_on_the_same_backend_from_different_clients(clients, users, nodes, second_address):
    user = users["a"][3]
    director = nodes.of("dovecot_directors")[0]
    began = clock(director)
    for source in (None, second_address, None, second_address):
        with clients.imap(user, source=source):
            pass

    logins = [
        node.name
        for node in nodes.pair_of("a")
        for line in node.run("journalctl -u dovecot --no-pager -o cat --since %s", began).splitlines()
        if "imap-login: Login:" in line and f"user=<{user}>" in line
    ]
    assert len(logins) >= 4
    assert len(set(logins)) == 1, f"{user} was sent to {set(logins)}"
    status = director.doveadm("director", "status", user, "a")
    assert status, "the director does not know the user"


def test_a_cluster_that_nobody_uses_logs_nothing(nodes, lab_is_whole):
    """Load balancers, the directors' monitor and keepalived look after it all the time."""
    eventually(lab_is_whole, 60, "a whole cluster", interval=1)
    assert said_while_idle(nodes.values()) == {}


def test_nobody_can_log_in_where_health_is_checked(nodes, users, clients):
    node = nodes.of("dovecot_directors")[0]
    program = (
        "import imaplib, ssl; context = ssl.create_default_context(); context.check_hostname = False; "
        "context.verify_mode = ssl.CERT_NONE; imaplib.IMAP4_SSL(%r, %d, ssl_context=context).login(%r, %r)"
    )
    user = users["a"][0]
    for port, outcome in ((993, 0), (11993, 1)):
        done = node.host.run("python3 -c %s", program % (node.address, port, user, clients.passwords[user]))
        assert done.rc == outcome, done.stderr
    assert "certificate" in done.stderr


def test_special_folders_exist(clients, users):
    with clients.imap(users["a"][0]) as connection:
        listing = b"\n".join(must(connection.list())).decode()
    for flag in (r"\Drafts", r"\Junk", r"\Sent", r"\Trash"):
        assert flag in listing


def test_only_root_reads_the_certificate_and_its_key(nodes):
    for node in (*nodes.of("dovecot_directors"), *nodes.of("dovecot_backends")):
        for name in ("cert", "key"):
            file = node.host.file(f"/etc/dovecot/tls/{name}.pem")
            assert (file.user, file.mode) == ("root", 0o600)
