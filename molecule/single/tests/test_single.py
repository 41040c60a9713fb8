"""One server: mail comes in and is read, by every service, and is there after the server was switched off."""

from __future__ import annotations

import pytest
from clients import eventually

USER = "alice@example.org"


@pytest.fixture
def server(nodes):
    return nodes["mail1"]


def test_a_delivery_is_read_by_imap_and_pop3(clients, server):
    message_id = clients.deliver(USER, host=server.address)
    eventually(lambda: clients.has(USER, message_id, host=server.address), what="the message by IMAP")
    pop3 = clients.pop3s()
    pop3.user(USER)
    pop3.pass_(clients.passwords[USER])
    assert pop3.stat()[0] >= 1
    pop3.quit()


def test_sieve_scripts_can_be_uploaded(clients, server):
    clients.sieve(USER, host=server.address).close()


def test_a_power_cut_costs_no_mail(clients, server, lab_node):
    message_id = clients.deliver(USER, host=server.address)
    lab_node.kill(server)
    lab_node.start(server)
    eventually(lambda: clients.has(USER, message_id, host=server.address), 60, "the message after the power cut", interval=2)
