"""What keepalived runs to learn whether a node is of use, against a server that says this or that."""

from __future__ import annotations

import socket
import subprocess
import threading
from pathlib import Path

import pytest

CHECKS = Path(__file__).resolve().parents[3] / "roles/service_address/files"


@pytest.fixture
def serving():
    """Starts a server that greets each client so, or not at all; gives its port, and what clients said to it."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        said = []

        def serve(greeting):
            while True:
                try:
                    client, _address = listening.accept()
                except OSError:
                    return
                with client:
                    if greeting is not None:
                        client.sendall(greeting)
                    client.settimeout(5)
                    said.append(client.recv(100))

        def start(greeting):
            threading.Thread(target=serve, args=[greeting], daemon=True).start()
            return str(listening.getsockname()[1]), said

        yield start
        listening.shutdown(socket.SHUT_RDWR)


def check(name, *arguments):
    return subprocess.run(["bash", CHECKS / f"check-{name}.sh", *arguments], timeout=10, check=False).returncode


@pytest.mark.parametrize(
    ("protocol", "greeting", "farewell"), [("imap", b"* OK ready\r\n", b"a LOGOUT\r\n"), ("pop3", b"+OK\r\n", b"QUIT\r\n")]
)
def test_a_dovecot_that_greets_is_of_use_and_is_left_politely(protocol, greeting, farewell, serving, tmp_path):
    port, said = serving(greeting)
    assert check("dovecot", protocol, port, tmp_path / "none") == 0
    assert said == [farewell]


@pytest.mark.parametrize("greeting", [b"* BYE too many\r\n", None], ids=["another greeting", "silence"])
def test_a_dovecot_that_does_not_greet_is_of_no_use(greeting, serving, tmp_path):
    port, _said = serving(greeting)
    assert check("dovecot", "imap", port, tmp_path / "none") == 1


def test_a_dovecot_whose_disk_is_nearly_full_is_of_no_use(serving, tmp_path):
    port, _said = serving(b"* OK ready\r\n")
    (tmp_path / "gate").write_text("full\n")
    assert check("dovecot", "imap", port, tmp_path / "gate") == 1


def test_a_dovecot_that_takes_no_connection_is_of_no_use(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = str(unused.getsockname()[1])
    assert check("dovecot", "imap", port, tmp_path / "none") == 1
