"""What is written is what its reader reads.

The readers are written from scratch, after the sources of Dovecot 2.3.19.1 and libpq.
"""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ansible_collections.mailcluster.dovecot.plugins.filter.quoted import FilterModule
from ansible_collections.mailcluster.dovecot.plugins.plugin_utils._quoting import (
    PLACES,
    Unwritable,
    folded_filter,
    folded_query,
    passwd_entry,
    quoted,
)

WHITE = " \t"
SIGNS = st.sampled_from("aZ9 \t#'\"\\$<>%{}=:;,*()|&!ä-")
NASTY = st.text(SIGNS | st.characters(min_codepoint=33, codec="utf-8", exclude_categories=["Cc"]), max_size=12)
INJECTIONS = ("a\nssl = no", "a\r\nssl = no", "a\0b", "a\x1bb")


# --- the readers


def _unescaped(text):
    return re.sub(r"\\(.?)", r"\1", text, flags=re.S)


def read_setting(line, expands):
    """settings_read_i of lib-settings/settings.c and config_parse_line of config-parser.c: the value in `name = value`.

    None where it is not taken as it is; they differ in that the first expands $ENV: only.
    """
    position = 0
    while position < len(line):
        if line[position] in "'\"":
            quote, position = line[position], position + 1
            while position < len(line) and line[position] != quote:
                position += 2 if line[position] == "\\" and position + 1 < len(line) else 1
        elif line[position] == "#":
            line = line[:position]
            break
        position += 1
    line = line.rstrip(WHITE)
    if line.endswith("\\"):
        return None  # goes on in the next line
    value = line.split("=", 1)[1].lstrip(WHITE)
    if expands and (value.startswith("<") or (value[:1] not in ("'", '"') and "$" in value)):
        return None
    if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"":
        return _unescaped(value[1:-1])
    return None if re.search(r"(^|[ \t])\$ENV:", value) else value


def read_postgresql(text):
    """conninfo_parse of libpq."""
    if text.startswith("'"):
        assert re.match(r"'([^'\\]|\\.)*'\Z", text, re.S)
        return _unescaped(text[1:-1])
    return _unescaped(re.match(r"[^\s]*", text).group())


# --- settings


@given(NASTY)
@example("Mail #1")
@example("'")
@example('a"')
@example("\\")
@example(' "')
@example("$mail_plugins zlib")
@example("</etc/passwd")
@example("'a' or 'b'")
def test_a_setting_is_read_as_it_was_given(value):
    for expands in (True, False):
        assert read_setting(f"login_greeting = {quoted(value)}", expands) == value


@pytest.mark.parametrize("value", ["imap", "mdbox:~/mdbox", "5 min", "\\Drafts", "%Lu", "mail.example.org:25", ""])
def test_what_needs_no_quotes_gets_none(value):
    assert quoted(value) == value


@pytest.mark.parametrize(("value", "written"), [(True, "yes"), (False, "no"), (25, "25"), (1.5, "1.5")])
def test_what_is_no_text_is_written_in_dovecots_way(value, written):
    assert quoted(value) == written


@pytest.mark.parametrize("value", [None, [], ["quota", "acl"], {}, {"a": 1}])
def test_what_has_no_way_to_be_written_is_refused(value):
    with pytest.raises(Unwritable, match="where a text is needed"):
        quoted(value)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("value", INJECTIONS)
def test_no_place_takes_a_line_break_or_a_control_character(place, value):
    with pytest.raises(Unwritable, match="line break or a control character"):
        quoted(value, place)


# --- settings that somebody writes in Dovecot's own language


@pytest.mark.parametrize("value", ["$mail_plugins zlib", "zlib $mail_plugins", "</etc/dovecot/dh.pem", '"%s(%u): "', "'a'"])
def test_an_expression_stays_dovecots(value):
    assert quoted(value, "expression") == value


@pytest.mark.parametrize("value", ["Mail#1", "costs 5$", "ends with a blank ", "\\", '"', "'a' or 'b'"])
def test_what_is_none_is_quoted(value):
    assert read_setting(f"login_greeting = {quoted(value, 'expression')}", True) == value


@pytest.mark.parametrize("value", ["$mail_plugins #zlib", "</etc/a#b", "$a ", "$a \\"])
def test_an_expression_cannot_be_quoted(value):
    with pytest.raises(Unwritable, match="beside a '#', or a blank"):
        quoted(value, "expression")


# --- connect strings


def words_of(value, place):
    """The words of a connect string, as Dovecot's pool takes it apart. None when its password is refused, which has a blank."""
    try:
        connect = f"host=db password={quoted(value, place)} dbname=mail"
    except Unwritable:
        assert re.search(r"\s", value)
        return None
    return read_setting(f"connect = {quoted(connect)}", False).split(" ")


@given(NASTY)
@example("it's")
@example("back\\slash")
@example("")
def test_a_value_reaches_libpq_through_dovecot_or_is_refused(value):
    words = words_of(value, "postgresql")
    if words is not None:
        host, password, database = words
        assert (host, database) == ("host=db", "dbname=mail")
        assert read_postgresql(password.removeprefix("password=")) == value


@given(NASTY)
def test_a_value_reaches_mysql_or_is_refused(value):
    assert words_of(value, "mysql") in (None, ["host=db", f"password={value}", "dbname=mail"])


# --- passwd-files, queries, filters


@pytest.mark.parametrize(
    ("place", "value", "words"),
    [
        ("field", "{CRYPT}a:b", "a colon"),
        ("field", "5G userdb_uid=0", "a blank"),
        ("field", "#anna", "'#' at its begin"),
        ("extra", "*:storage=5G userdb_uid=0", "a blank"),
        ("sql", "a\\'b", "a backslash"),
        ("ldap_field", "a,=uid=0", "a comma"),
        ("word", "/etc/a#b", "'#'"),
        ("word", "/etc/a b", "blanks"),
    ],
)
def test_what_would_become_something_else_is_refused(place, value, words):
    with pytest.raises(Unwritable, match=words):
        quoted(value, place)


def test_a_text_in_a_query_ends_where_it_is_to_end():
    assert quoted("o'brien", "sql") == "'o''brien'"


def test_a_value_in_a_filter_matches_itself_alone():
    assert quoted("a*)(uid=*", "ldap_filter") == r"a\2a\29\28uid=\2a"


def test_an_extra_field_may_have_colons_and_variables():
    assert quoted("*:storage=5G", "extra") == "*:storage=5G"
    assert quoted("/var/vmail/%Ld/%Ln", "extra") == "/var/vmail/%Ld/%Ln"


def test_a_line_of_a_passwd_file():
    assert passwd_entry("Anna@example.org", "{CRYPT}x", {"userdb_quota_rule": "*:storage=5G", "proxy": "y"}) == (
        "anna@example.org:{CRYPT}x::::::proxy=y userdb_quota_rule=*:storage=5G"
    )
    assert passwd_entry("anna") == "anna:::::::"


@pytest.mark.parametrize(
    "entry",
    [
        ("a:b",),
        ("#anna",),
        ("anna\nroot", "x"),
        ("anna", "{PLAIN}a:b"),
        ("anna", "x", {"quota_rule": "5G userdb_uid=0"}),
        (None,),
    ],
)
def test_a_user_cannot_be_given_what_belongs_to_others(entry):
    with pytest.raises(Unwritable):
        passwd_entry(*entry)


# --- several lines


def test_a_query_of_several_lines_becomes_one():
    assert folded_query("SELECT password\n  FROM users\n\n  WHERE a = 'x  y'\n") == "SELECT password FROM users WHERE a = 'x  y'"


@pytest.mark.parametrize(("query", "words"), [("SELECT 1 -- all\nFROM users", "comment"), ("SELECT 'a\nb'", "within quotes")])
def test_unless_that_would_change_it(query, words):
    with pytest.raises(Unwritable, match=words):
        folded_query(query)


def test_on_one_line_a_comment_is_the_servers_own_affair():
    assert folded_query("SELECT 1 FROM users -- all") == "SELECT 1 FROM users -- all"


def test_a_filter_of_several_lines_becomes_one():
    assert folded_filter("(&\n  (objectClass=a)\n  (|(mail=%u)\n    (uid=%n)))\n") == "(&(objectClass=a)(|(mail=%u)(uid=%n)))"


def test_but_not_within_a_value():
    assert "\n" in folded_filter("(cn=a\nb)")


def test_the_filter_is_that_function():
    assert FilterModule().filters()["quoted"]("Mail #1") == '"Mail #1"'
