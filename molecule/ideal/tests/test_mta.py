"""A mail server in front of the cluster, configured with the lines of docs/mta.md: real Postfix, on a node."""

from __future__ import annotations

import re
import smtplib
import socket
import uuid
from email.message import EmailMessage
from pathlib import Path

import pytest
from clients import SASL, eventually, sasl_answer, unverified

PAGE = Path(__file__).resolve().parents[3] / "docs/mta.md"
ELSEWHERE = "somebody@example.com"
TIMEOUT = 60  # seconds; Postfix asks the cluster while a client waits


def lines_of(file, vip):
    """What the page says of one of Postfix's files, with the VIP of the lab."""
    block = re.search(rf"```\n# {re.escape(file)}\n(.*?)```", PAGE.read_text(), re.DOTALL).group(1)
    return block.replace("192.0.2.10", vip)


@pytest.fixture(scope="module")
def postfix(nodes, lab, vip_holder):
    """The node with Postfix, a load balancer that does not hold the VIP; afterwards it has no Postfix any more."""
    holder = vip_holder()
    node = next(node for node in nodes.of("dovecot_loadbalancers") if node is not holder)
    settings = [line for line in lines_of("main.cf", lab["vip"]).splitlines() if line and not line.startswith("#")]
    try:
        node.run("apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends postfix")
        for line in [*settings, "smtpd_peername_lookup = no", "inet_interfaces = all"]:  # a lab has no names of its clients
            node.run("postconf -e %s", line)
        node.run("printf '%%s' %s >> /etc/postfix/master.cf", lines_of("master.cf", lab["vip"]))
        node.run("systemctl restart postfix")
        for port in (25, 587):
            eventually(lambda port=port: is_greeted(node.address, port), 30, f"a greeting at port {port} of Postfix")
        yield node
    finally:
        node.run("DEBIAN_FRONTEND=noninteractive apt-get purge --yes postfix")


def is_greeted(address, port, source=None):
    """Whether a server says something there to a client with the address I(source)."""
    try:
        with socket.create_connection((address, port), 3, source_address=(source, 0) if source else None) as connection:
            return bool(connection.recv(1))
    except OSError:
        return False


@pytest.fixture
def mail_from_outside(postfix):
    """A transaction with Postfix that has begun, as another mail server begins it."""
    with smtplib.SMTP(postfix.address, 25, timeout=TIMEOUT) as smtp:
        smtp.ehlo("mail.example.net")
        assert smtp.mail("sender@example.net")[0] == 250
        yield smtp


def submission(postfix, user=None, password=None):
    """A user's mail program, with TLS; logged in when there is a user."""
    smtp = smtplib.SMTP(postfix.address, 587, timeout=TIMEOUT)
    smtp.starttls(context=unverified())
    smtp.ehlo()
    if user:
        smtp.user, smtp.password = user, password
        smtp.auth("PLAIN", smtp.auth_plain)
    return smtp


def test_mail_arrives(postfix, clients, users):
    recipients = [users["a"][0], users["b"][0]]
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "sender@example.net", ", ".join(recipients), "through Postfix"
    message["Message-ID"] = f"<{uuid.uuid4()}@example.net>"
    message.set_content("A message of the tests.\n")
    with smtplib.SMTP(postfix.address, 25, timeout=TIMEOUT) as smtp:
        assert smtp.send_message(message) == {}
    for user in recipients:
        eventually(lambda user=user: clients.has(user, message["Message-ID"]), 30, f"the message in {user}'s mailbox")


def test_who_does_not_exist_is_refused_before_the_message_comes(mail_from_outside):
    code, text = mail_from_outside.rcpt("nobody@example.org")
    assert code == 550 and b"User doesn't exist" in text


@pytest.fixture
def full(nodes, users, clients):
    """A user with more mail than he may have."""
    user = users["b"][2]
    for _number in range(5):
        clients.deliver(user)
    backends = nodes.pair_of("b")
    try:
        for backend in backends:
            backend.run(f"sed -i.before '/^{user}:/s/::::::$/::::::userdb_quota_rule=*:storage=1K/' /etc/dovecot/users.passwd")
            # Dovecot looks once a second whether the file has changed
            eventually(
                lambda backend=backend: "1K" in backend.host.run("doveadm user -f quota_rule %s", user).stdout,
                what=f"the limit on {backend.name}",
            )
        yield user
    finally:
        for backend in backends:
            backend.run("mv /etc/dovecot/users.passwd.before /etc/dovecot/users.passwd")


def test_who_is_over_quota_is_refused_before_the_message_comes(full, mail_from_outside):
    code, text = mail_from_outside.rcpt(full)
    assert 400 <= code < 600 and b"Quota exceeded" in text


def test_mail_to_elsewhere_is_not_taken_from_anybody(mail_from_outside):
    code, text = mail_from_outside.rcpt(ELSEWHERE)
    assert code == 554 and b"Relay access denied" in text


@pytest.mark.parametrize("partition", ("a", "b"))
def test_a_user_sends_with_his_password(partition, postfix, users, clients):
    user = users[partition][0]
    with submission(postfix, user, clients.passwords[user]) as smtp:
        assert smtp.mail(user)[0] == 250
        assert smtp.rcpt(ELSEWHERE)[0] == 250
        smtp.rset()


@pytest.mark.parametrize("partition", ("a", "b"))
def test_nobody_sends_with_another_password(partition, postfix, users):
    with pytest.raises(smtplib.SMTPAuthenticationError) as refusal:
        submission(postfix, users[partition][0], "wrong")
    assert refusal.value.smtp_code == 535


def test_nobody_sends_without_a_password(postfix, users):
    with submission(postfix) as smtp:
        smtp.mail(users["a"][0])
        assert smtp.rcpt(ELSEWHERE)[0] == 554


def test_no_password_is_asked_for_without_tls(postfix):
    for port in (25, 587):
        with smtplib.SMTP(postfix.address, port, timeout=TIMEOUT) as smtp:
            smtp.ehlo()
            assert not smtp.has_extn("auth")


@pytest.fixture
def director_down(nodes, lab_is_whole):
    director = nodes.of("dovecot_directors")[0]
    director.run("systemctl stop dovecot")
    yield director
    director.run("systemctl start dovecot")
    eventually(lab_is_whole, 60, "a whole cluster", interval=1)


def test_a_user_sends_while_a_director_is_down(director_down, postfix, users, clients):
    user = users["a"][1]

    def is_let_in():
        with submission(postfix, user, clients.passwords[user]) as smtp:
            return smtp.noop()[0] == 250

    eventually(is_let_in, 30, f"a login at Postfix without {director_down.name}", interval=1)
    with pytest.raises(smtplib.SMTPAuthenticationError):
        submission(postfix, user, "wrong")


@pytest.mark.parametrize("service", ("smtp", "submission", "of-somebody-else"))
def test_whoever_asks_has_the_password_judged(service, nodes, users, clients):
    """This machine is a mail server too, as the inventory has it."""
    user = users["a"][0]
    for director in nodes.of("dovecot_directors"):
        right = sasl_answer(director.address, service, user, clients.passwords[user])
        # and no word of where the mail is
        assert right.split() == ["OK", "1", f"user={user}"]
        assert sasl_answer(director.address, service, user, "wrong").startswith("FAIL")


def test_the_port_is_open_to_mail_servers_only(nodes, lab, second_address):
    stranger = nodes.pair_of("b")[0]
    for address in (lab["vip"], *(director.address for director in nodes.of("dovecot_directors"))):
        assert is_greeted(address, SASL), f"nothing answers on {SASL} of {address}, the test proves nothing"
        assert not is_greeted(address, SASL, source=second_address), f"{address} answers to everyone"
        assert not stranger.host.addr(address).port(SASL).is_reachable, f"{address} answers to {stranger.name}"
