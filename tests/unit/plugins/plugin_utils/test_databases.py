"""What is within dovecot_user_databases, as it is normalised, and what is refused."""

from __future__ import annotations

import pytest

from ansible_collections.mailcluster.dovecot.plugins.plugin_utils._databases import databases

LDAP = {"driver": "ldap", "uris": ["ldaps://ldap1"], "base": "dc=example,dc=org"}
PGSQL = {"driver": "pgsql", "hosts": ["db1"], "database": "mail", "user": "dovecot", "password": "dbsecret"}
QUERY = "SELECT password\n  FROM users\n  WHERE username = '%u'\n"


def test_a_query_and_a_filter_of_several_lines_become_one():
    (sql, ldap), wrong = databases([dict(PGSQL, password_query=QUERY), dict(LDAP, filter="(&\n  (a=b)\n  (mail=%u)\n)\n")])
    assert wrong == []
    assert sql["password_query"] == "SELECT password FROM users WHERE username = '%u'"
    assert ldap["filter"] == "(&(a=b)(mail=%u))"


@pytest.mark.parametrize(
    ("database", "words"),
    [
        (dict(PGSQL, user_query="SELECT 1 -- all\nFROM users"), "has a comment (--) in one of several lines"),
        (dict(PGSQL, iterate_query="SELECT 'a\nb'"), "has a line break within quotes: remove it"),
        (dict(LDAP, filter="(mail=%u\nx)"), "has a line break or a control character"),
        (dict(LDAP, bind_password="a\nb"), "(value not shown) has a line break or a control character"),
        (dict(LDAP, base="dc=a\nscope = base"), "has a line break or a control character"),
        (dict(PGSQL, password="secret#1secret"), "(value not shown) has a '#'"),
    ],
)
def test_what_cannot_be_written_or_is_an_error_is_refused_in_one_line(database, words):
    dummy, ((item, sentence),) = databases([database])
    assert item == "item 1" and words in sentence
    assert "secret#1" not in sentence
