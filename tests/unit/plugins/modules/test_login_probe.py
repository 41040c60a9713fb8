"""A login as a user would do it, by IMAPS and by POP3S."""

from __future__ import annotations

import imaplib
import ssl

import pytest
from mail_server import Script, self_signed, serving

from ansible_collections.mailcluster.dovecot.plugins.module_utils import _login_probe as login_probe
from ansible_collections.mailcluster.dovecot.plugins.module_utils._login_probe import ProbeFailed, probe

TLS = Script.TLS
READY = b"+OK Dovecot ready.\r\n"
POP3 = [TLS, READY, "USER u", b"+OK\r\n", "PASS p"]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    return self_signed(tmp_path_factory.mktemp("tls"))


@pytest.fixture(autouse=True)
def any_certificate(monkeypatch):
    monkeypatch.setattr(ssl, "create_default_context", lambda cafile: ssl._create_unverified_context())


def probed(script, certificate, protocol="pop3"):
    with serving(Script(*script), certificate=certificate) as port:
        return probe(
            {"host": "127.0.0.1", "port": port, "protocol": protocol, "user": "u", "password": "p", "ca_file": None, "timeout": 5}
        )


def test_by_pop3_the_messages_are_counted(certificate):
    script = [*POP3, b"+OK Logged in.\r\n", "STAT", b"+OK 3 1200\r\n", "QUIT", b"+OK Logging out.\r\n"]
    assert probed(script, certificate) == 3


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ([TLS, b"-ERR Not now\r\n"], "no POP3S connection to 127.0.0.1:"),
        ([*POP3, b"-ERR [AUTH] Authentication failed.\r\n"], "refused the login of u: "),
        ([*POP3, b"+OK Logged in.\r\n", "STAT", b"-ERR Internal error.\r\n"], "did not open the INBOX of u: "),
        ([*POP3, b"+OK Logged in.\r\n", "STAT", b"+OK\r\n"], "did not open the INBOX of u: the server did not say how many"),
        ([*POP3, b"+OK Logged in.\r\n", "STAT", b"+OK many\r\n"], "did not open the INBOX of u: the server did not say how many"),
    ],
)
def test_the_step_that_failed_is_named(script, words, certificate):
    with pytest.raises(ProbeFailed, match=words.replace(".", r"\.")):
        probed(script, certificate)


def test_by_imap_the_first_step_is_named_alike(certificate):
    with pytest.raises(ProbeFailed, match="no IMAPS connection to 127"):
        probed([TLS, b"* BYE Not now\r\n"], certificate, "imap")


def test_an_inbox_of_which_the_server_does_not_say_how_large_it_is_is_not_open(certificate):
    class Client:
        """As imaplib answers then."""

        def select(self, _mailbox, readonly):
            assert readonly
            return "OK", [None]

        def logout(self):
            pass

    with pytest.raises(imaplib.IMAP4.error, match="did not say how many"):
        login_probe.count_by_imap(Client())
