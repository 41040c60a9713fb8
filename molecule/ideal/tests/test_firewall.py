"""The private ports are closed from outside, and open where they must be."""

from __future__ import annotations

import smtplib
import socket

import pytest
from clients import eventually

RING, DOVEADM, DSYNC, AGENT = 9090, 12345, 12347, 12346
PROXIED = (10143, 10993, 10110, 10995, 10024, 14190)
HEALTH = (11143, 11993, 11110, 11995, 11024, 11190)


def is_open(address, port, source=None):
    try:
        socket.create_connection((address, port), 1.5, source_address=(source, 0) if source else None).close()
        return True
    except OSError:
        return False


@pytest.mark.parametrize("port", (RING, *PROXIED, *HEALTH))
def test_director_ports_are_closed_from_outside(port, nodes):
    for node in nodes.of("dovecot_directors"):
        assert str(port) in node.run("ss -ltnH"), f"nothing listens on {port} of {node.name}, the test proves nothing"
        assert not is_open(node.address, port), f"{node.name} answers on {port}"


@pytest.mark.parametrize("port", (DOVEADM, DSYNC, AGENT, HEALTH[0]))
def test_backend_ports_are_closed_from_outside(port, nodes):
    for node in nodes.of("dovecot_backends"):
        assert str(port) in node.run("ss -ltnH"), f"nothing listens on {port} of {node.name}, the test proves nothing"
        assert not is_open(node.address, port), f"{node.name} answers on {port}"


def test_lmtp_is_open_to_the_declared_mail_server_only(nodes, lab, second_address):
    addresses = [lab["vip"], *(node.address for node in nodes.values() if "dovecot_loadbalancers" not in node.groups)]
    for address in addresses:
        with smtplib.LMTP(address, lab["ports"]["lmtp"], timeout=5) as lmtp:
            assert lmtp.noop()[0] == 250
        assert not is_open(address, lab["ports"]["lmtp"], source=second_address), f"{address} answers to everyone"


def test_the_cluster_itself_gets_through(nodes):
    one, other = nodes.of("dovecot_directors")
    assert one.host.addr(other.address).port(RING).is_reachable
    balancer = nodes.of("dovecot_loadbalancers")[0]
    for port in PROXIED + HEALTH:
        assert balancer.host.addr(one.address).port(port).is_reachable
    director = one
    one, other = nodes.pair_of("a")
    assert one.host.addr(other.address).port(DSYNC).is_reachable
    assert director.host.addr(one.address).port(DOVEADM).is_reachable


def test_other_tables_are_left_alone(nodes):
    node = nodes["a1"]
    node.run("nft add table inet of_somebody_else")
    node.run("systemctl reload mailcluster-dovecot-firewall")
    tables = node.run("nft list tables")
    node.run("nft delete table inet of_somebody_else")
    assert "of_somebody_else" in tables and "mailcluster_dovecot" in tables


def test_the_table_is_back_after_the_distributions_firewall_was_restarted(nodes):
    node = nodes["a2"]
    node.run("systemctl restart nftables")
    eventually(lambda: "mailcluster_dovecot" in node.run("nft list tables"), 10, "the table of the cluster")
    node.run("systemctl stop nftables")
    node.run("systemctl start mailcluster-dovecot-firewall")


def test_it_can_be_switched_off_and_on_again(ansible, nodes, second_address, lab):
    node = nodes["b1"]
    try:
        assert ansible("site.yml", "--limit", node.name, "-e", '{"dovecot_firewall": false}').returncode == 0
        assert "mailcluster_dovecot" not in node.run("nft list tables")
        eventually(lambda: is_open(node.address, lab["ports"]["lmtp"], source=second_address), 10, "an open port")
    finally:
        assert ansible("site.yml", "--limit", node.name).returncode == 0
    assert not is_open(node.address, lab["ports"]["lmtp"], source=second_address)
