"""The shell in YAML that shellcheck is given to read."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from labtool import paths, yaml_shell
from labtool.system import LabError

TASKS = """---
- name: One line
  ansible.builtin.shell: test -e {{ place }} || echo "{{ 'no
    place' }}"

- name: A block
  ansible.builtin.shell:
    cmd: |
      set -e
      cat {{ file }}
    executable: /bin/bash

- name: A command that starts a shell
  ansible.builtin.command:
    argv: [bash, -ec, "echo $HOME"]

- name: A check of a configuration
  mailcluster.dovecot.config:
    validate:
      - >-
        sh -c 'cp {tree}/a ${b}
        && true'

- name: Words only
  ansible.builtin.debug:
    msg: It doesn't matter what sh -c does
"""


def scripts(text):
    return [(script.dialect, script.line, script.text) for script in yaml_shell.scripts(text, Path("tasks.yml"))]


def test_scripts_are_found_in_shell_tasks_and_behind_c_and_jinja_stands_for_a_word():
    assert scripts(TASKS) == [
        ("sh", 3, 'test -e word || echo "word"'),
        ("bash", 9, "set -e\ncat word\n"),
        ("bash", 15, "echo $HOME"),
        ("sh", 21, "cp word/a ${b} && true"),
    ]


def test_an_executable_may_stand_beside_the_script():
    assert scripts("- shell: echo\n  args: {executable: /bin/bash}\n") == [("bash", 1, "echo")]


def test_statements_of_jinja_are_left_out_and_lines_stay_in_their_places():
    assert scripts("shell: |\n  {% if a\n     and b %}\n  echo\n  {% endif %}\n") == [("sh", 2, "\n\necho\n\n")]


def test_a_file_that_is_not_yaml_is_named():
    with pytest.raises(LabError, match="tasks.yml is not YAML"):
        scripts("a: [")


def test_what_shellcheck_says_leads_to_the_file_and_the_line(monkeypatch, tmp_path):
    (tmp_path / "roles/x/tasks").mkdir(parents=True)
    (tmp_path / "roles/x/tasks/main.yml").write_text("- shell:\n    cmd: |\n      set -e\n      echo $1\n")
    monkeypatch.setattr(paths, "ROOT", tmp_path)
    place = tmp_path / "scripts"
    written = yaml_shell.write(place)
    assert written == {"sh": ["roles/x/tasks/main.yml.3"]}
    told = subprocess.run(["shellcheck", "--shell=sh", *written["sh"]], cwd=place, capture_output=True, text=True, check=False)
    assert "In roles/x/tasks/main.yml.3 line 4:\necho $1\n" in told.stdout


def test_the_shell_of_this_checkout_is_found(tmp_path):
    found = {name for names in yaml_shell.write(tmp_path).values() for name in names}
    for file in ("playbooks/tasks/move_user/kick.yml", "roles/service_address/tasks/main.yml", "labtool/storage.yml"):
        assert any(name.startswith(f"{file}.") for name in found)
