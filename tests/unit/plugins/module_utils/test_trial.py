"""How a service is tried: against servers that say what Dovecot's say, and what broken ones do."""

from __future__ import annotations

import pytest
from mail_server import Script, self_signed, serving

from ansible_collections.mailcluster.dovecot.plugins.module_utils._trial import PROXY_LOCAL, Trial, failures

TLS = Script.TLS
IMAP = b"* OK [CAPABILITY IMAP4rev1 STARTTLS] Dovecot (Debian) ready.\r\n"
POP3 = b"+OK Dovecot (Debian) ready.\r\n"
LMTP = b"220 b1 Dovecot (Debian) ready.\r\n"
SIEVE = b'"IMPLEMENTATION" "Dovecot (Debian) Pigeonhole"\r\n"STARTTLS"\r\nOK "Dovecot (Debian) ready."\r\n'
HEALTHY = {
    "imap": [IMAP, "a STARTTLS", b"a OK Begin TLS negotiation now.\r\n", TLS, "b LOGOUT", b"* BYE Logging out\r\n"],
    "imaps": [TLS, IMAP, "b LOGOUT", b"* BYE Logging out\r\n"],
    "pop3": [POP3, "STLS", b"+OK Begin TLS negotiation now.\r\n", TLS, "QUIT", b"+OK Logging out\r\n"],
    "pop3s": [TLS, POP3, "QUIT", b"+OK Logging out\r\n"],
    "lmtp": [LMTP, "QUIT", b"221 2.0.0 Bye\r\n"],
    "sieve": [SIEVE, "STARTTLS", b'OK "Begin TLS negotiation now."\r\n', TLS, SIEVE, "LOGOUT", b'OK "Logout completed."\r\n'],
}


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    return self_signed(tmp_path_factory.mktemp("tls"))


def failure_of(service, script, certificate=None, seconds=5, proxy_protocol=False):
    with serving(Script(*script), certificate=certificate) as port:
        found = failures([Trial("dovecot.service", "127.0.0.1", port, service, proxy_protocol)], seconds)
        return str(found[0]).replace(str(port), "N") if found else None


@pytest.mark.parametrize("service", HEALTHY)
def test_a_healthy_service(service, certificate):
    assert failure_of(service, HEALTHY[service], certificate) is None


# where the server speaks first, so that the header comes alone
@pytest.mark.parametrize("service", ["imap", "pop3", "lmtp", "sieve"])
def test_a_listener_for_the_proxy_protocol_gets_its_header_first(service, certificate):
    header = PROXY_LOCAL.decode("latin-1").rstrip("\r\n")
    assert failure_of(service, [header, *HEALTHY[service]], certificate, proxy_protocol=True) is None


@pytest.mark.parametrize(
    ("service", "script", "words"),
    [
        ("imap", [b"* BYE Too many connections\r\n"], "port N (imap, STARTTLS): its greeting is '* BYE Too many connections'"),
        (
            "imap",
            [IMAP, "a STARTTLS", b"a BAD TLS support isn't enabled.\r\n"],
            "port N (imap, STARTTLS): its answer to a STARTTLS is 'a BAD TLS support isn't enabled.'",
        ),
        (
            "imap",
            [IMAP, "a STARTTLS", b"a OK Begin TLS negotiation now.\r\n* BYE [UNAVAILABLE] TLS initialization failed.\r\n"],
            "port N (imap, STARTTLS): the TLS handshake failed: ",
        ),
        ("imaps", [], "port N (imap, TLS): the TLS handshake failed: "),
        ("pop3", [b"* OK IMAP here\r\n"], "port N (pop3, STARTTLS): its greeting is '* OK IMAP here'"),
        ("lmtp", [b"421 4.3.2 Too busy\r\n"], "port N (lmtp): its greeting is '421 4.3.2 Too busy'"),
        ("lmtp", [], "port N (lmtp): the connection was closed in place of its greeting"),
        ("sieve", [b'"SIEVE" "fileinto"\r\nBYE "Not now."\r\n'], "port N (sieve, STARTTLS): its greeting is 'BYE \"Not now.\"'"),
        ("lmtp", [LMTP, "QUIT"], "port N (lmtp): the connection was closed in place of its answer to QUIT"),
    ],
)
def test_a_service_that_serves_nobody(service, script, words):
    assert failure_of(service, script).startswith(words)


def test_a_port_that_is_closed():
    with serving(Script()) as port:
        pass
    (failure,) = failures([Trial("dovecot.service", "127.0.0.1", port, "imap", False)], 5)
    assert "Connection refused" in failure.words
    assert not failure.slow


def test_a_service_that_says_nothing_is_slow():
    with serving(Script(3)) as port:
        (failure,) = failures([Trial("dovecot.service", "127.0.0.1", port, "imap", True)], 1)
    assert str(failure) == f"port {port} (imap, STARTTLS, PROXY protocol): no answer within 1 s"
    assert failure.slow
