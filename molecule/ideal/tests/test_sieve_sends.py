"""What a Sieve script sends arrives at the mail server that the backends are told of."""

from __future__ import annotations

import uuid
from email import message_from_bytes
from email.policy import default

import pytest
from aiosmtpd.controller import Controller
from clients import eventually

# inventories/ideal names this machine as the mail server
ADDRESS, PORT = "198.51.100.1", 25


class Received(list):
    """(recipients, message) of all mail that came in."""

    async def handle_DATA(self, _server, _session, envelope):  # noqa: N802
        self.append((envelope.rcpt_tos, message_from_bytes(envelope.content, policy=default)))
        return "250 OK"


@pytest.fixture
def received():
    handler = Received()
    controller = Controller(handler, hostname=ADDRESS, port=PORT)
    controller.start()
    yield handler
    controller.stop()


@pytest.fixture
def rules(clients, users):
    """A function that gives the user a script; it goes after the test, since the mail server does too."""
    user = users["b"][1]
    sieve = clients.sieve(user)

    def activate(script):
        sieve.put("sends", script)
        sieve.activate("sends")
        return user

    yield activate
    sieve.activate("")
    sieve.command('DELETESCRIPT "sends"')
    sieve.close()


def test_a_redirected_message_arrives(received, rules, clients):
    user = rules('redirect "elsewhere@example.com";\n')
    message_id = clients.deliver(user)
    eventually(
        lambda: [
            recipients
            for recipients, message in received
            if recipients == ["elsewhere@example.com"] and message["Message-ID"] == message_id
        ],
        what="the redirected message at the mail server",
    )


def test_a_vacation_reply_arrives(received, rules, clients):
    subject = f"on leave {uuid.uuid4()}"
    user = rules(f'require "vacation";\nvacation :subject "{subject}" "Back soon.";\n')
    clients.deliver(user)
    eventually(
        lambda: [
            message for recipients, message in received if recipients == ["sender@example.net"] and message["Subject"] == subject
        ],
        what="the reply at the mail server",
    )
