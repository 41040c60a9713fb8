"""What dovecot_settings can say, and what it cannot."""

from __future__ import annotations

import datetime

import pytest

from ansible_collections.mailcluster.dovecot.plugins.plugin_utils._setting_checks import problems


@pytest.mark.parametrize(
    "value",
    ["Mail#1", "ready ", " ready", "\\", '"quoted"', 'Mail "1"', "it's", "$mail_plugins zlib", "</etc/dovecot/dh.pem", "a$b"],
)
def test_what_can_be_quoted_is_taken(value):
    assert list(problems({"login_greeting": value, "mail_plugins": "$mail_plugins"})) == []


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("Mail #1", "has a '#' behind a blank, which reads as a comment: leave it out"),
        ("a\nssl = no", "has a line break or a control character"),
        ("</etc/a#b", "beside a '#', or a blank or a backslash at an end: remove it"),
        (None, "is empty"),
        (["a", "b"], "is a list (a, b)"),
        (datetime.date(2026, 1, 1), "(2026-01-01) is a date, where a text is needed: write it in quotes"),
    ],
)
def test_what_cannot_be_written_is_refused_in_one_line(value, words):
    ((where, sentence),) = problems({"plugin": {"x": value}})
    assert where == "plugin/x" and words in sentence
