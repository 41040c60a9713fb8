"""The files of databases: what Dovecot's auth process says of them, and what a refusal says."""

from __future__ import annotations

import pathlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.mailcluster.dovecot.plugins.module_utils import _config_databases as databases
from ansible_collections.mailcluster.dovecot.plugins.module_utils import _doveconf as doveconf
from ansible_collections.mailcluster.dovecot.plugins.module_utils._config_state import ConfigError
from ansible_collections.mailcluster.dovecot.plugins.module_utils._config_validate import Staged, validate

TRANSCRIPTS = pathlib.Path(__file__).parent / "transcripts" / "auth"
RECORDED_TREE = "/run/mailcluster-stage-x"
LDAP, SQL = "/etc/dovecot/databases/ldap.conf.ext", "/etc/dovecot/databases/sql.conf.ext"
CONFIG = """passdb {
  driver = passwd-file
  args = username_format=%%Lu /etc/dovecot/users.passwd
}
passdb {
  args = %(path)s
  driver = %(driver)s
}
protocol imap {
  passdb {
    args = %(path)s
    driver = %(driver)s
  }
}
userdb {
  driver = prefetch
}
userdb {
  args = %(path)s
  driver = %(driver)s
}
"""


def recorded(name):
    """(content of the file, what the process said of it)"""
    text = (TRANSCRIPTS / f"{name}.txt").read_text().removeprefix("### file\n")
    content, rest = text.split("### auth: ", 1)
    return content, rest.split("\n", 1)[1]


def found(name):
    content, said = recorded(name)
    path = LDAP if name.startswith("ldap") else SQL
    return list(databases.complaints(said, path, RECORDED_TREE + path, content))


@pytest.mark.parametrize("name", ["ldap_accepted", "sql_accepted", "mysql_accepted", "sqlite_accepted"])
def test_a_right_file_is_read_to_its_end_and_nothing_is_said_of_it(name):
    assert found(name) == []
    assert databases.END in recorded(name)[1]


@pytest.mark.parametrize(
    ("name", "line", "words"),
    [
        ("ldap_unknown_setting", 3, "Unknown setting: fou"),
        ("ldap_scope", 3, "Unknown scope option 'foo'"),
        ("ldap_tls_require_cert", 1, "Unknown tls_require_cert value 'perhaps'"),
        ("ldap_boolean", 4, "Invalid boolean: maybe"),
        ("ldap_number", 3, "Invalid number: three"),
        ("ldap_no_base", None, "No base given"),
        ("sql_broken_line", 4, "Expecting '='"),
        ("sql_unknown_setting", 3, "Unknown setting: user_qerry"),
        ("sql_no_driver", None, f"driver not set in configuration file {SQL}"),
        ("sql_unknown_driver", None, "Unknown database driver 'postgres'"),
        ("mysql_connect", None, "Unknown connect string: pasword"),
        ("mysql_blank", None, "Missing value in connect string: zwei"),
    ],
)
def test_a_wrong_file_is_refused_in_dovecots_words_with_its_line(name, line, words):
    (problem,) = found(name)
    assert (problem.message, problem.line, problem.absent) == (words, line, False)
    assert problem.path in (LDAP, SQL)


def test_a_line_that_is_cut_is_refused_though_dovecot_only_warns():
    (problem,) = found("ldap_hash")
    assert problem.message.startswith("Ambiguous '#' character in line") and problem.line == 3


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("ldap_not_installed", "Debian's package dovecot-ldap brings it"),
        ("pgsql_not_installed", "Debian's package dovecot-pgsql brings it"),
        ("missing_file", "No such file or directory"),
    ],
)
def test_what_the_host_lacks_is_told_as_such(name, words):
    (problem,) = found(name)
    assert words in problem.message and problem.absent
    assert RECORDED_TREE not in problem.message


@given(st.text())
def test_whatever_it_says_can_be_read(said):
    list(databases.complaints(said, LDAP, RECORDED_TREE + LDAP, said))


def test_each_file_is_asked_about_once_in_all_its_uses():
    config = doveconf.parse(CONFIG % {"path": LDAP, "driver": "ldap"})
    assert databases.asked(config) == {("ldap", LDAP): {"passdb", "userdb"}}


def test_the_end_comes_after_the_file():
    text = databases.configuration("ldap", "/t" + LDAP, {"userdb", "passdb"}, "/t")
    config = doveconf.parse(text)
    assert [(section.kind, section.settings["driver"]) for section in config.sections] == [
        ("passdb", "ldap"),
        ("userdb", "ldap"),
        ("userdb", databases.END),
    ]
    assert config.settings["base_dir"] == "/t", "it would write into the folder of the Dovecot that runs"


# --- with the staged tree


class Programs:
    """doveconf, and an auth process that says what was recorded."""

    def __init__(self, tree, name):
        self.tree, self.said, self.calls = tree, recorded(name)[1] if name else "", []

    def __call__(self, argv, cwd=None, **dummy):
        if argv[0] == "doveconf":
            return 0, CONFIG % {"path": LDAP, "driver": "ldap"}, ""
        self.calls.append((argv, cwd, (self.tree / "auth.conf").read_text()))
        return 89, "", self.said.replace(RECORDED_TREE, str(self.tree))


@pytest.fixture
def judged(tmp_path):
    def judge(name, check_mode=False):
        content = recorded(name)[0] if name else ""
        staged = {doveconf.MAIN: b"passdb {\n}\n", LDAP: content.encode()}
        for path, text in staged.items():
            (tmp_path / path[1:]).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path[1:]).write_bytes(text)
        programs = Programs(tmp_path, name)
        tree = Staged(
            tree=str(tmp_path),
            files=staged,
            removed=set(),
            secrets=[LDAP],
            describe=lambda path: "role server",
            live=lambda path: path,
        )
        warnings = validate(tree, ["dovecot"], programs, lambda program: True, check_mode)
        return programs, warnings

    return judge


def test_the_staged_file_is_judged_away_from_the_running_dovecot(judged, tmp_path):
    programs, warnings = judged("ldap_accepted")
    ((argv, cwd, text),) = programs.calls
    assert argv[-3:] == ["/usr/lib/dovecot/auth", "-c", f"{tmp_path}/auth.conf"] and "timeout" in argv[0]
    assert cwd == str(tmp_path) and f"args = {tmp_path}{LDAP}\n" in text
    assert not (tmp_path / "auth.conf").exists()
    assert warnings == []


def test_a_refusal_names_path_line_and_kind_and_shows_no_secret(judged):
    with pytest.raises(ConfigError) as error:
        judged("ldap_scope")
    assert error.value.message == (f"{LDAP} line 3 (role server): Unknown scope option (the line is secret, not shown).")


def test_a_package_that_a_deployment_would_bring_is_no_refusal_in_check_mode(judged):
    dummy, warnings = judged("ldap_not_installed", check_mode=True)
    assert warnings == [
        f"{LDAP} needs Dovecot's driver for ldap, which is not installed. Debian's package dovecot-ldap brings it."
    ]
    with pytest.raises(ConfigError, match="package dovecot-ldap brings it"):
        judged("ldap_not_installed")


def test_a_process_that_ends_otherwise_is_no_mistake_of_the_inventory(judged):
    dummy, warnings = judged("")
    assert warnings == [f"{LDAP} could not be judged by Dovecot's auth process, which ended otherwise"]
