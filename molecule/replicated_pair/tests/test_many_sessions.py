"""Two thousand clients in IDLE at one node: many times what the defaults of Dovecot and of the kernel would take."""

from __future__ import annotations

import asyncio
import re
import resource
import time

import pytest
from clients import eventually

SESSIONS = 2000
AT_ONCE = 40  # as many log in at the same time
HEARD_WITHIN = 1.0  # seconds
# Seconds, to connect them all: a login takes 10 to 20 ms of a machine's two cores, and a stall would last until a time-out.
FOR_ALL = 90
COMPLAINTS = re.compile("(Warning|Error|Fatal|Panic): |Script `service` now returning 1")


@pytest.fixture
def files():
    """As many open files as this test has connections."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 2 * SESSIONS)), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


class Sessions:
    """Clients in IDLE: when each one heard of new mail last, and which were ended by the server."""

    def __init__(self, clients, sources):
        self.clients, self.sources = clients, sources
        self.gate = asyncio.Semaphore(AT_ONCE)
        self.heard, self.ended, self.listeners = {}, [], []

    async def open(self, user, number):
        async with self.gate:
            reader, writer = await asyncio.open_connection(
                self.clients.vip,
                self.clients.ports["imaps"],
                ssl=self.clients.tls,
                local_addr=self.sources[number % len(self.sources)],
            )
            greeting = await reader.readline()
            assert greeting.startswith(b"* OK"), greeting
            for command, end in (
                (f'a LOGIN {user} "{self.clients.passwords[user]}"', b"a OK"),
                ("b SELECT INBOX", b"b OK"),
                ("c IDLE", b"+ "),
            ):
                writer.write(f"{command}\r\n".encode())
                while not (line := await reader.readline()).startswith(end):
                    assert line and not line.startswith((b"* BYE", end[:2] + b"NO", end[:2] + b"BAD")), f"{command[:8]}: {line}"
        self.listeners.append(asyncio.create_task(self.listen(user, number, reader, writer)))

    async def listen(self, user, number, reader, writer):
        try:
            while line := await reader.readline():
                if line.endswith(b" EXISTS\r\n"):
                    self.heard[user, number] = time.monotonic()
        except OSError:
            pass
        finally:
            writer.transport.abort()
        self.ended.append((user, number))

    async def delivered(self, user, numbers):
        """How long after the delivery the last of the user's sessions heard of it."""
        await asyncio.to_thread(self.clients.deliver, user)
        taken = time.monotonic()
        while not all((user, number) in self.heard for number in numbers):
            assert time.monotonic() < taken + 10, f"{user}: not all {len(numbers)} sessions heard of the delivery"
            await asyncio.sleep(0.05)
        return max(self.heard[user, number] for number in numbers) - taken

    async def close(self):
        for listener in self.listeners:
            listener.cancel()
        await asyncio.gather(*self.listeners, return_exceptions=True)


async def many_sessions(clients, sources, users):
    sessions, numbers = Sessions(clients, sources), {user: range(n, SESSIONS, len(users)) for n, user in enumerate(users)}
    began = time.monotonic()
    try:
        await asyncio.gather(*(sessions.open(user, number) for user in users for number in numbers[user]))
        connected = time.monotonic() - began
        delays = {user: await sessions.delivered(user, numbers[user]) for user in users}
        await asyncio.sleep(1)
        return connected, delays, list(sessions.ended)
    finally:
        await sessions.close()


@pytest.mark.first
@pytest.mark.usefixtures("files")
def test_two_thousand_sessions_hear_of_new_mail(nodes, clients, vip_holder, lab_is_whole, second_address):
    eventually(lab_is_whole, 60, "a whole pair", interval=1)
    holder, since = vip_holder(), {node.name: node.run("date +%s").strip() for node in nodes.values()}
    users = sorted(clients.passwords)

    connected, delays, ended = asyncio.run(many_sessions(clients, [None, (second_address, 0)], users))

    assert connected < FOR_ALL
    assert not ended, f"{len(ended)} sessions were ended"
    assert max(delays.values()) < HEARD_WITHIN, f"seconds from the delivery until all sessions of a user heard: {delays}"
    assert vip_holder().name == holder.name, "the VIP moved"
    for node in nodes.values():
        log = node.run(f"journalctl -u dovecot -u keepalived --since @{since[node.name]} -o cat --no-pager")
        complaints = [line for line in log.splitlines() if COMPLAINTS.search(line)]
        assert not complaints, f"{node.name}: {complaints[:5]}"
