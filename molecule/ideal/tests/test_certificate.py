"""A certificate that is renewed on the nodes, beside any deployment."""

from __future__ import annotations

import re

import pytest
from clients import eventually

NEW = (
    "openssl req -new -nodes -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -subj /CN=renewed -keyout {to}/key.pem "
    "-out {to}/request.pem && openssl x509 -req -in {to}/request.pem -signkey {to}/key.pem -days {days} -out {to}/cert.pem"
)
SHOWN = "echo | openssl s_client -connect 127.0.0.1:993 2>/dev/null | openssl x509 -noout -subject"
TLS = "/etc/dovecot/tls"


def renew(node, days):
    """As certbot does: links that lead to other files."""
    node.run(f"mkdir -p {TLS}.archive && cd {TLS}.archive && {NEW.format(to='.', days=days)}")
    for name in ("cert.pem", "key.pem"):
        node.run(f"ln -sfn {TLS}.archive/{name} {TLS}/next && mv -T {TLS}/next {TLS}/{name}")


def take_up(node):
    return node.host.run("systemctl start mailcluster-dovecot-certificate").rc


@pytest.fixture
def directors(nodes):
    """The directors, whose certificate is the deployed one again at the end."""
    directors = nodes.of("dovecot_directors")
    for node in directors:
        node.run(f"cp -a {TLS} {TLS}.deployed")
    yield directors
    for node in directors:
        node.run(f"rm -rf {TLS} {TLS}.archive && mv {TLS}.deployed {TLS}")
        eventually(lambda node=node: take_up(node) == 0, 60, "the deployed certificate")


def test_directors_take_a_renewed_certificate_up_and_keep_what_operators_told_the_ring(directors, nodes):
    drained = nodes.pair_of("b")[1].address
    directors[0].run("doveadm director update %s 0", drained)
    try:
        for node in directors:
            renew(node, days=90)
            assert take_up(node) == 0
            assert "CN = renewed" in node.run(SHOWN)
        for node in directors:
            [row] = [row for row in node.doveadm("director", "status") if row["mail server ip"] == drained]
            assert row["vhosts"] == "0"
    finally:
        directors[0].run("doveadm director update %s 100", drained)


def test_a_certificate_without_its_key_is_not_taken_up(directors):
    node = directors[0]
    renew(node, days=90)
    node.run(f"cp --remove-destination {TLS}.deployed/key.pem {TLS}/key.pem")
    assert take_up(node) != 0
    assert "CN = renewed" not in node.run(SHOWN)


@pytest.mark.parametrize("days, succeeds, says", [(10, True, "of director1 expires on"), (0, False, "of director1 expired on")])
def test_verify_tells_when_a_certificate_expires(days, succeeds, says, directors, ansible):
    renew(directors[0], days)
    proven = ansible("verify.yml", "--limit", directors[0].name)
    assert says in re.sub(r"\s+", " ", proven.stdout)
    assert (proven.returncode == 0) == succeeds


def test_every_node_with_dovecot_looks_for_a_renewed_certificate(nodes):
    for node in (*nodes.of("dovecot_directors"), *nodes.of("dovecot_backends")):
        assert node.run("systemctl is-active mailcluster-dovecot-certificate.timer").strip() == "active"
