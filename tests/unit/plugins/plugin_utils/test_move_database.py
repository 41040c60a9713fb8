"""In which database a moved user's home is changed, to what, and what stands in the way."""

from __future__ import annotations

import pytest

from ansible_collections.mailcluster.dovecot.plugins.plugin_utils._move_database import move_database

FILE = {"name": "passwd_file", "driver": "passwd_file"}
LDAP = {"name": "ldap", "driver": "ldap", "home_server": "mailHost", "bind_dn": "cn=reader"}
SQL = {"name": "pgsql", "driver": "pgsql", "home_server": "home"}


def plan(databases, **more):
    return move_database(databases, "alice@example.org", "b", **more)


@pytest.mark.parametrize(
    ("databases", "users", "named", "expected"),
    [
        ([FILE, LDAP, SQL], [], None, "ldap"),
        ([FILE, LDAP, SQL], [{"name": "Alice@example.org"}], None, "passwd_file"),
        ([FILE, LDAP, SQL], [], "pgsql", "pgsql"),
        ([FILE], [], None, "passwd_file"),
    ],
)
def test_where_the_user_is(databases, users, named, expected):
    found = plan(databases, users=users, named=named)
    assert found["database"]["name"] == expected and found["obstacles"] == []


def test_the_database_gets_its_own_word_for_the_partition():
    assert plan([SQL])["value"] == "b"
    assert plan([SQL], home_servers={"mail1.example.org": "a", "mail2.example.org": "b"})["value"] == "mail2.example.org"
    assert plan([SQL], home_servers={7: "b"})["value"] == 7


def test_each_server_s_client_is_named_and_a_file_needs_none():
    assert [plan([one])["package"] for one in (LDAP, SQL, FILE)] == ["ldap-utils", "postgresql-client", ""]


@pytest.mark.parametrize(
    ("databases", "more", "words"),
    [
        (
            [FILE, SQL],
            {"named": "mysql"},
            "dovecot_move_database: there is no database mysql, nothing was changed: give the one of passwd_file, pgsql",
        ),
        ([{**SQL, "home_server": ""}], {}, "dovecot_user_databases: pgsql has no home_server"),
        ([{**LDAP, "bind_dn": ""}], {}, "dovecot_move_login: missing"),
    ],
)
def test_what_stands_in_the_way_is_told_with_its_remedy(databases, more, words):
    [sentence] = plan(databases, **more)["obstacles"]
    assert sentence.startswith(words) and ", nothing was changed: " in sentence


def test_a_directory_that_is_read_without_a_login_can_be_written_with_one():
    assert plan([{**LDAP, "bind_dn": ""}], login="cn=writer")["obstacles"] == []
