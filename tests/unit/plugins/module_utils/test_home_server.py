"""What is run to write a user's home into each database, and what counts as one user changed."""

from __future__ import annotations

import sqlite3
import subprocess

import pytest

from ansible_collections.mailcluster.dovecot.plugins.module_utils import _home_server
from ansible_collections.mailcluster.dovecot.plugins.module_utils._home_server import (
    Change,
    NotChanged,
    literal,
    statement,
    write,
)

SQL = {"home_server": "home", "table": "users", "user_column": "name", "tls": True, "tls_verify": True, "authority": "/ca.pem"}
MYSQL = {**SQL, "driver": "mysql", "hosts": ["db1", "db2"], "database": "mail"}
PGSQL = {**SQL, "driver": "pgsql", "hosts": ["db1", "db2"], "database": "mail", "port": 5433}
LDAP = {
    "driver": "ldap",
    "uris": ["ldap://one", "ldap://two"],
    "base": "dc=example",
    "user_attribute": "mail",
    "home_server": "mailHost",
    "tls_verify": False,
    "authority": "/ca.pem",
}


class Answers:
    """Answers programs in turn, and keeps what was run."""

    def __init__(self, *answers):
        self.answers, self.ran = list(answers), []

    def __call__(self, argv, environment, stdin=None):
        self.ran.append((argv, environment, stdin))
        return self.answers.pop(0)


def change(database, run, rehearsal=False, user="alice@example.org", value="b"):
    write(Change(database, user, value, "writer", "secret", rehearsal), run, lambda text: f"/file-with-{text}")


def test_a_rehearsal_in_sql_is_rolled_back():
    words = Change(PGSQL, "alice@example.org", "b", "", "", True)
    assert statement(words) == "BEGIN; UPDATE users SET home = 'b' WHERE name = 'alice@example.org'; ROLLBACK"
    assert statement(words._replace(rehearsal=False)) == "UPDATE users SET home = 'b' WHERE name = 'alice@example.org'"


@pytest.mark.parametrize(("driver", "text"), [("pgsql", r"'o''hara\'"), ("sqlite", r"'o''hara\'"), ("mysql", r"'o''hara\\'")])
def test_signs_that_would_end_a_text_do_not(driver, text):
    assert literal("o'hara\\", driver) == text


def test_postgresql_asks_all_servers_at_once_and_no_word_of_the_password_is_in_its_arguments():
    run = Answers((0, "UPDATE 1\n", ""))
    change(PGSQL, run)
    [(argv, environment, _stdin)] = run.ran
    assert argv[argv.index("-h") + 1] == "db1,db2" and argv[argv.index("-U") + 1] == "writer"
    assert environment["PGPASSWORD"] == "secret" and environment["PGSSLMODE"] == "verify-full" and environment["PGPORT"] == "5433"
    assert "secret" not in " ".join(argv)


def test_of_several_mysql_servers_the_first_that_takes_it_counts():
    run = Answers((1, "", "cannot connect"), (0, "Rows matched: 1  Changed: 0\n", ""))
    change(MYSQL, run)
    assert [argv[2] for argv, _environment, _stdin in run.ran] == ["db1", "db2"]


@pytest.mark.parametrize("said", ["UPDATE 0\n", "UPDATE 10\n", "UPDATE 12\n"])
def test_nobody_or_several_users_changed_is_a_failure(said):
    with pytest.raises(NotChanged, match="UPDATE"):
        change(PGSQL, Answers((0, said, "")))


def test_mysql_that_matched_nobody_is_not_asked_at_the_next_server():
    run = Answers((0, "Rows matched: 0  Changed: 0\n", ""))
    with pytest.raises(NotChanged):
        change(MYSQL, run)


def test_what_the_database_says_is_told():
    with pytest.raises(NotChanged, match="permission denied for table users"):
        change(PGSQL, Answers((1, "", "ERROR: permission denied for table users\n")))


@pytest.mark.parametrize(("rehearsal", "home"), [(True, "a"), (False, "b")])
def test_sqlite_really_changes_one_user_or_rolls_back(rehearsal, home, tmp_path):
    path = tmp_path / "users.sqlite"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE users (name TEXT, home TEXT)")
        database.execute("INSERT INTO users VALUES ('alice@example.org', 'a'), ('bob@example.org', 'a')")

    def run(argv, _environment, _stdin=None):
        """As the program sqlite3 does."""
        printed = []
        with sqlite3.connect(argv[1], isolation_level=None) as database:
            for part in argv[2].split("; "):
                printed += [str(row[0]) for row in database.execute(part)]
        return 0, "\n".join(printed) + "\n", ""

    change({**SQL, "driver": "sqlite", "path": str(path)}, run, rehearsal)
    with sqlite3.connect(path) as database:
        assert dict(database.execute("SELECT name, home FROM users")) == {"alice@example.org": home, "bob@example.org": "a"}


DN = (0, "dn: uid=alice,dc=example\n\n", "")


def test_a_directory_s_entry_gets_the_new_value():
    run = Answers(DN, (0, "", ""))
    change(LDAP, run, value="bär")
    search, modify = run.ran
    assert "(mail=alice@example.org)" in search[0] and "/file-with-secret" in search[0] and "secret" not in search[0]
    assert modify[2].splitlines()[1:3] == ["changetype: modify", "replace: mailHost"]
    assert _home_server.values("mailHost", modify[2]) == ["bär"]
    assert _home_server.values("dn", modify[2]) == ["uid=alice,dc=example"]


def test_a_rehearsal_in_a_directory_writes_what_is_there():
    run = Answers(DN, (0, "dn: uid=alice,dc=example\nmailHost: a\n", ""), (0, "", ""))
    change(LDAP, run, rehearsal=True)
    assert _home_server.values("mailHost", run.ran[-1][2]) == ["a"]


@pytest.mark.parametrize("found", ["", "dn: uid=a\n\ndn: uid=b\n"])
def test_no_entry_or_several_is_a_failure(found):
    with pytest.raises(NotChanged, match="no single entry for .mail=alice"):
        change(LDAP, Answers((0, found, "")))


def test_a_name_that_cannot_be_written_plainly_is_found_and_written_all_the_same():
    assert _home_server.in_filter("a*(b)\\c") == r"a\2a\28b\29\5cc"
    assert _home_server.values("dn", "dn:: dWlkPWLDpHI=\n") == ["uid=bär"]


def test_the_password_s_file_is_for_its_owner_alone(tmp_path):
    path = _home_server.secret_file_in(str(tmp_path))("secret")
    assert subprocess.run(["stat", "--format=%a", path], capture_output=True, text=True, check=True).stdout == "600\n"
