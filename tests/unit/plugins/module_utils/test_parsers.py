"""Whatever doveadm prints, a parser gives a result or the typed error, never anything else."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.mailcluster.dovecot.plugins.module_utils import _director, _mailbox, _replicator, _values
from ansible_collections.mailcluster.dovecot.plugins.module_utils._doveadm import (
    Doveadm,
    DoveadmError,
    InvalidValue,
    OutputError,
    failure,
)

ROWS = {
    "backends": {"mail server ip": "198.51.100.31", "tag": "a", "vhosts": "100", "state": "up", "users": "1"},
    "ring": {"director ip": "198.51.100.21", "port": "9090", "type": "self", "last failed": "never", "status": "ring synced"},
    "user": {"status": "198.51.100.31", "expires": "2026-11-24 19:15:32", "hashed": "198.51.100.31", "initial-config": ""},
    "map": {"user": "alice", "hash": "4227319470", "mail server ip": "198.51.100.31", "expire time": "2026-11-24 19:15:32"},
    "sessions": {"username": "alice", "service": "imap", "src-ip": "192.0.2.1", "dest-ip": "198.51.100.31", "dest-port": "143"},
    "replicated": {
        "username": "alice",
        "priority": "none",
        "fast sync": "00:00:40",
        "full sync": "100:00:42",
        "success sync": "-",
        "failed": "y",
    },
    "summary": {"field": "Queued 'sync' requests", "value": "0"},
    "connections": {"username": "alice", "type": "normal", "status": "Waiting"},
    "path": {"path": "/var/vmail/a/mdbox/mailboxes/INBOX/dbox-Mails"},
    "quota": {"root": "User quota", "type": "STORAGE", "value": "1", "limit": "-", "percent": "0"},
    "status": {"mailbox": "INBOX", "messages": "1"},
}
PARSERS = {
    "backends": (_director.parse_backends, dict),
    "ring": (_director.parse_ring, dict),
    "user": (_director.parse_user, dict),
    "map": (_director.parse_map, _director.map_row),
    "sessions": (_director.parse_sessions, dict),
    "replicated": (_replicator.parse_users, _replicator.user_row),
    "summary": (_replicator.parse_summary, dict),
    "connections": (_replicator.parse_connections, dict),
    "path": (_mailbox.parse_path, dict),
    "quota": (_mailbox.parse_quota, dict),
    "status": (_mailbox.parse_status, dict),
}
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def parsed(name, stdout):
    """The parser's result of what doveadm printed, or its typed error."""
    parse, as_row = PARSERS[name]
    doveadm = Doveadm(lambda argv, seconds: (0, stdout, ""))
    try:
        return parse(doveadm.rows("status", as_row=as_row))
    except OutputError as error:
        assert error.details()["error"] == "output_error"
        return error


@st.composite
def damaged(draw, name):
    """Real rows, of which some columns are missing, have other values, or are no rows at all."""
    rows = []
    for _row in range(draw(st.integers(0, 3))):
        row = dict(ROWS[name])
        for column in draw(st.sets(st.sampled_from(sorted(row)))):
            if draw(st.booleans()):
                row[column] = draw(VALUES)
            else:
                del row[column]
        rows.append(draw(st.just(row) | VALUES))
    return json.dumps(draw(st.just(rows) | VALUES))


@pytest.mark.parametrize("name", PARSERS)
@given(data=st.data())
def test_damaged_rows_are_a_result_or_the_typed_error(name, data):
    parsed(name, data.draw(damaged(name)))


@pytest.mark.parametrize("name", PARSERS)
@given(stdout=st.text())
def test_any_text_is_a_result_or_the_typed_error(name, stdout):
    parsed(name, stdout)


@pytest.mark.parametrize("name", sorted(set(PARSERS) - {"summary"}))
def test_what_is_printed_today_is_understood(name):
    assert not isinstance(parsed(name, json.dumps([ROWS[name]])), OutputError)


@pytest.mark.parametrize(
    ("printed", "age"),
    [
        ("-", None),
        ("00:00:40", 40),
        ("100:00:42", 360042),
        # doveadm took the time before the replicator finished this user
        ("00:00:-1", 0),
        ("00:-1:-5", 0),
    ],
)
def test_ages_of_a_user(printed, age):
    users = parsed("replicated", json.dumps([{**ROWS["replicated"], "success sync": printed}]))
    assert users["alice"].success == age


def test_the_raw_text_is_in_the_error():
    error = parsed("backends", "Segmentation fault")
    assert "Segmentation fault" in str(error) and error.details()["stdout"] == "Segmentation fault"


@given(st.text(), st.integers(), st.text())
def test_any_failure_has_a_message_of_one_line_and_a_kind(stderr, rc, stdout):
    error = failure(["doveadm", "x"], rc, stdout, stderr)
    assert isinstance(error, DoveadmError) and error.details()["rc"] == rc


@given(st.text())
def test_any_configured_list_is_a_result_or_a_typed_error(text):
    def resolve(name):
        raise InvalidValue(name)

    try:
        _director.parse_configured(text, resolve)
    except InvalidValue:
        pass


@given(st.text())
def test_any_dump_of_a_map_is_a_number_or_the_typed_error(text):
    try:
        assert _mailbox.parse_unreferenced(text) >= 0
    except OutputError:
        pass


def no_name_server(_name, _port):
    raise OSError("no such name")


@given(st.text())
def test_any_host_is_an_address_or_a_refusal(text):
    try:
        assert _values.address_of("host", text, no_name_server)
    except DoveadmError as error:
        assert str(error).startswith("host: ")


@given(st.text())
def test_any_user_is_itself_or_a_refusal(text):
    try:
        assert _values.user_of("user", text) == text and text.strip()
    except InvalidValue as error:
        assert str(error).startswith("user: ")


def test_a_name_with_two_addresses_is_ambiguous():
    def two(_name, _port):
        return [(2, 1, 6, "", ("198.51.100.31", 0)), (2, 1, 6, "", ("198.51.100.32", 0))]

    with pytest.raises(InvalidValue, match="198.51.100.31, 198.51.100.32: give the one that the directors know"):
        _values.address_of("host", "mail.example.org", two)
