"""How a backend is asked for its sessions; the answers are those of Dovecot 2.3.19."""

from __future__ import annotations

import base64

import pytest
from mail_server import Script, serving

from ansible_collections.mailcluster.dovecot.plugins.module_utils._backend_sessions import sessions_at

LOGIN = "VERSION\tdoveadm-server\t1\t2\nPLAIN\t" + base64.b64encode(b"\0doveadm\0secret").decode()
WELCOME = b"VERSION\tdoveadm-client\t1\t2\n-\n"
WHO = "\t\twho"
NOBODY = b"\x00\x00\x00\x00\x03\n+\n"
THREE_USERS = (
    b"\x00\x00\x00\x00!carol\t1\tpop3\t(15260)\t(127.0.0.1)\t"
    b"\x00\x00\x00\x003alice@example.org\t2\timap\t(15256 15257)\t(127.0.0.1)\t"
    b"\x00\x00\x00\x00\x1fbob\t1\timap\t(15258)\t(127.0.0.1)\t\x00\x00\x00\x00\x03\n+\n"
)


class Settings:
    """The director's configuration."""

    def __init__(self, port, password="secret"):
        self.values = {"doveadm_port": str(port), "doveadm_password": password}

    def settings(self, name, secret=False):
        assert secret == (name == "doveadm_password"), "doveconf hides the password, unless it is asked for"
        return self.values[name]


@pytest.mark.parametrize(
    ("steps", "sessions"),
    [
        ([WELCOME, LOGIN, b"+\n", WHO, NOBODY], 0),
        ([WELCOME, LOGIN, b"+\n", WHO, THREE_USERS], 4),
        ([WELCOME, LOGIN, b"+\n", WHO, THREE_USERS[:50], 0.1, THREE_USERS[50:]], 4),
        ([LOGIN, WELCOME + b"-\n"], None),
        ([WELCOME, LOGIN, b"+\n", WHO, b"\n-NOREPLY\n"], None),
        ([], None),
        ([3], None),
    ],
    ids=["nobody", "some", "in two pieces", "wrong password", "refused", "closed", "hangs"],
)
def test_what_a_backend_says(steps, sessions):
    with serving(Script(*steps)) as port:
        assert sessions_at(Settings(port), "127.0.0.1", seconds=1) == sessions


def test_a_backend_without_dovecot_has_no_sessions():
    with serving(Script()) as port:
        pass
    assert sessions_at(Settings(port), "127.0.0.1") == 0


@pytest.mark.parametrize("settings", [Settings(0), Settings(12345, password="")])
def test_a_ring_without_doveadm_between_its_nodes(settings):
    assert sessions_at(settings, "127.0.0.1") is None
