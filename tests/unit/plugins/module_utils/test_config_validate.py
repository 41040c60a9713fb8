"""Validators: their refusal in words, without secrets."""

from __future__ import annotations

import pytest

from ansible_collections.mailcluster.dovecot.plugins.module_utils import _config_validate as validate
from ansible_collections.mailcluster.dovecot.plugins.module_utils._config_plan import Wanted
from ansible_collections.mailcluster.dovecot.plugins.module_utils._config_state import ConfigError, OnDisk, digest
from ansible_collections.mailcluster.dovecot.plugins.module_utils._doveconf import Problem

SECRET = "/etc/x/90-secret.conf"
VEIL = validate.Veil({SECRET: 'doveadm_password = "geheim geheimer"\nuser:{CRYPT}$2y$10$abcdef\n'})


def test_the_complaint_about_a_secret_line_says_where_and_what_kind():
    problem = Problem("Unknown variable: $10$abcdef", SECRET, 2)
    assert VEIL.problem(problem) == "Unknown variable (the line is secret, not shown)"
    assert VEIL.problem(Problem("whatever geheim", SECRET, 2)) == "refused (the line is secret, not shown)"


def test_secrets_are_taken_out_of_every_other_complaint():
    said = VEIL.problem(Problem("doveadm_password: geheimer and {CRYPT}$2y$10$abcdef", "/etc/x/a.conf", 1))
    assert said == "doveadm_password: ******** and ********"


def test_lines_of_output_that_name_a_secret_file_are_shown_by_number_only():
    text = f"[ALERT] parsing [{SECRET}:12] : unknown keyword 'nobody knows' in section\nharmless"
    assert VEIL.output(text) == f"{SECRET} line 12: (secret, not shown)\nharmless"


def test_a_problem_in_words():
    contents = {"/etc/a.conf": "x\nmmap_disable = maybe\n", SECRET: "a\nb\n"}

    def words(problem):
        return validate.words_for(problem, VEIL, lambda path: "role r", contents.get)

    assert words(Problem("Invalid boolean value: maybe.", "/etc/a.conf", 2)) == (
        "/etc/a.conf line 2 (role r): Invalid boolean value: maybe. The line reads: mmap_disable = maybe"
    )
    assert words(Problem("Unknown setting: b", SECRET, 2)) == (
        SECRET + " line 2 (role r): Unknown setting (the line is secret, not shown)."
    )
    assert words(Problem("nothing known")) == "nothing known"


def test_where_a_file_comes_from():
    wanted = {"/a": Wanted(b"", source="template a.j2"), "/b": Wanted(b"")}
    manifest = {"/c": {"role": "server", "sha256": digest(b"ours")}, "/d": {"role": "server", "sha256": digest(b"ours")}}
    current = {"/c": OnDisk(b"ours"), "/d": OnDisk(b"edited")}

    def origin(path):
        return validate.origin(path, wanted, current, manifest, "backend")

    assert origin("/a") == "role backend, template a.j2"
    assert origin("/b") == "role backend, literal content"
    assert origin("/c") == "role server"
    assert origin("/d").startswith("role server; edited by hand since")
    assert origin("/e") == "not managed by this collection"


def call(commands, run, find=lambda program: True, check_mode=False):
    staged = validate.Staged(
        tree="/t",
        files={"/etc/h.cfg": b"bad\n", SECRET: b"password geheimnis\n"},
        removed=set(),
        secrets=[SECRET],
        describe=lambda path: "r",
        live=lambda path: path,
    )
    return validate.validate(staged, commands, run, find, check_mode)


def test_a_command_runs_on_the_tree_without_a_shell():
    calls = []
    call(["haproxy -c -f {tree}/etc/h.cfg -x 'a b'"], lambda argv: calls.append(argv) or (0, "", ""))
    assert calls == [["haproxy", "-c", "-f", "/t/etc/h.cfg", "-x", "a b"]]


def test_its_refusal_names_live_paths_and_no_secret():
    with pytest.raises(ConfigError) as error:
        call(["haproxy -c -f {tree}/etc/h.cfg"], lambda argv: (1, "out", "[/t/etc/h.cfg:1] : geheimnis\n\n"))
    assert error.value.message == ("'haproxy -c -f /etc/h.cfg' ended with exit status 1:\n[/etc/h.cfg:1] : ********\nout")
    assert error.value.details()["problems"] == [error.value.message]


def test_all_validators_are_heard():
    with pytest.raises(ConfigError) as error:
        call(["one", "two"], lambda argv: (1, argv[0] + " says no", ""))
    assert len(error.value.details()["problems"]) == 2
    assert "one says no" in error.value.message
    assert "two says no" in error.value.message


def test_a_validator_that_is_not_installed_is_an_error_but_in_check_mode_a_warning():
    with pytest.raises(ConfigError, match="doveconf is not installed"):
        call(["dovecot"], None, lambda program: False)
    warnings = call(["dovecot", "nft -c"], None, lambda program: False, check_mode=True)
    assert [warning.split()[0] for warning in warnings] == ["doveconf", "nft"]


def test_no_validator_no_complaint():
    assert call(["", " "], None) == []
