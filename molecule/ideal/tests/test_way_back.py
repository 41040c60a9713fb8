"""A configuration that doveconf passes, and with which Dovecot serves nobody: the one before comes back by itself."""

from __future__ import annotations

import json
import re

import pytest
from clients import eventually, must

TAKEN = 8143


@pytest.fixture
def a_taken_port(nodes):
    """Another process on the backend listens there."""
    backend = nodes["b1"]
    backend.run(f"systemd-run --quiet --collect --unit=taken-port python3 -m http.server {TAKEN}")
    eventually(lambda: f":{TAKEN}" in backend.run("ss -Htln"), what=f"a process that listens on port {TAKEN}")
    yield
    backend.run("systemctl stop taken-port")


BROKEN = {
    "a port that is taken": (
        {"service imap-login": {"inet_listener other": {"port": TAKEN}}},
        [f"listen(*, {TAKEN}) failed: Address already in use"],
    ),
    "a value with which every handshake fails": (
        {"ssl_curve_list": "no-such-curve"},
        [
            "port 993 (imap, TLS): the TLS handshake failed",
            "port 143 (imap, STARTTLS): the TLS handshake failed",
            "Can't set curve list to 'no-such-curve'",
        ],
    ),
}


def files_of(node):
    return node.run("find /etc/dovecot -type f | sort | xargs sha256sum")


@pytest.mark.parametrize("case", BROKEN)
def test_the_configuration_before_comes_back_and_no_session_is_cut(case, a_taken_port, ansible, nodes, clients, users):
    settings, expected = BROKEN[case]
    backend, user = nodes["b1"], users["b"][0]
    files, process = files_of(backend), backend.run("systemctl show -p MainPID dovecot")
    with clients.imap(user, host=backend.address) as connection:
        done = ansible("site.yml", "--limit", backend.name, "-e", json.dumps({"dovecot_settings": settings}))
        assert done.returncode != 0
        said = re.sub(r"\s+", " ", done.stdout)
        for words in [*expected, "The previous configuration is back in force"]:
            assert words in said
        must(connection.noop())
    assert files_of(backend) == files
    assert backend.run("systemctl show -p MainPID dovecot") == process
    eventually(lambda: clients.connect_imap(user, host=backend.address).logout(), what="a new login")


def test_a_deployment_afterwards_finds_nothing_to_do(ansible):
    done = ansible("site.yml", "--limit", "b1")
    assert done.returncode == 0, done.stdout[-3000:]
    assert re.search(r"^b1 .*changed=0 ", done.stdout, re.M), done.stdout[-1000:]
