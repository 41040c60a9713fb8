"""The controller's side of config, as a playbook has it: on this host, with files in a temporary directory."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys

import pytest
from ansible.errors import AnsibleActionFail

from ansible_collections.mailcluster.dovecot.plugins.action import config
from ansible_collections.mailcluster.dovecot.plugins.module_utils import _config_record

COLLECTIONS = config.__file__.split("/ansible_collections/", maxsplit=1)[0]
ANSIBLE_PLAYBOOK = pathlib.Path(sys.executable).with_name("ansible-playbook")
TEMPLATE = """{% for number in [1, 2] %}
line {{ number }} of {{ what }}
{% endfor %}
  {% if true %}
indented
  {% endif %}
{% include 'part.j2' %}
{{ template_path }} {{ ansible_managed }}
"""


class Play:
    def __init__(self, root):
        self.root = root
        self.templates = root / "play" / "roles" / "r" / "templates"
        self.tasks = root / "play" / "roles" / "r" / "tasks"
        for folder in (self.templates, self.tasks, root / "out"):
            folder.mkdir(parents=True)
        (root / "ansible.cfg").write_text("")
        (self.templates / "t.j2").write_text(TEMPLATE)
        (self.templates / "part.j2").write_text("part of {{ what }}\n")
        (self.templates / "secret.j2").write_text("password {{ password }}\n")

    def run(self, files, *options, **extra):
        me = {"owner": str(os.getuid()), "group": str(os.getgid())}
        files = [{**me, **file, "dest": str(self.root / "out" / file["dest"])} for file in files]
        arguments = {"role": "r", "files": files, "state_dir": str(self.root / "state")}
        task = {"mailcluster.dovecot.config": arguments, "register": "result"}
        show = {"ansible.builtin.copy": {"content": "{{ result | to_json }}", "dest": str(self.root / "result.json")}}
        builtin = {"ansible.builtin.template": {"src": "t.j2", "dest": str(self.root / "builtin")}}
        (self.tasks / "main.yml").write_text(json.dumps([task, show, builtin]))
        play = {"hosts": "localhost", "connection": "local", "gather_facts": False, "roles": ["r"]}
        (self.root / "play" / "play.yml").write_text(json.dumps([play]))
        environment = dict(
            os.environ,
            ANSIBLE_COLLECTIONS_PATH=COLLECTIONS,
            ANSIBLE_CONFIG=str(self.root / "ansible.cfg"),
            ANSIBLE_NOCOLOR="1",
            ANSIBLE_LOCALHOST_WARNING="0",
            ANSIBLE_PYTHON_INTERPRETER=sys.executable,
        )
        variables = {"what": "it", "password": "geheimnis", **extra}
        words = [str(ANSIBLE_PLAYBOOK), "-i", "localhost,", "-e", json.dumps(variables), "play.yml", *options]
        done = subprocess.run(
            words, cwd=self.root / "play", env=environment, capture_output=True, text=True, timeout=120, check=False
        )
        return done.returncode, done.stdout + done.stderr

    def out(self, name):
        return (self.root / "out" / name).read_text()


@pytest.fixture
def play(tmp_path):
    return Play(tmp_path)


def test_templates_contents_and_secrets(play):
    files = [
        {"dest": "t", "template": "t.j2", "mode": 0o640},
        {"dest": "c", "content": "literal {{ what }}\n"},
        {"dest": "s", "template": "secret.j2", "secret": True},
    ]
    status, output = play.run(files, "-vvv", "--diff")
    assert status == 0, output
    assert play.out("t").startswith("line 1 of it\nline 2 of it\n")
    assert play.out("t") == (play.root / "builtin").read_text()
    assert play.out("c") == "literal it\n"
    assert play.out("s") == "password geheimnis\n"
    assert [oct((play.root / "out" / name).stat().st_mode & 0o777) for name in "tcs"] == ["0o640", "0o644", "0o600"]
    shown = output.replace(json.dumps({"what": "it", "password": "geheimnis"}), "")
    assert "geheimnis" not in shown
    assert "(secret, not shown)" in output
    result = json.loads((play.root / "result.json").read_text())
    assert "content" not in json.dumps(result.get("invocation", {}))


def test_an_undefined_variable_names_template_and_role(play):
    (play.templates / "bad.j2").write_text("a\n{{ nothing_such }}\n")
    status, output = play.run([{"dest": "x", "template": "bad.j2"}])
    assert status != 0
    assert "Cannot render template 'bad.j2'" in output
    assert "of role 'r'" in output
    assert "'nothing_such' is undefined" in output
    assert not (play.root / "state").exists()


def test_a_missing_template_is_named(play):
    status, output = play.run([{"dest": "x", "template": "none.j2"}])
    assert status != 0
    assert "Cannot render template 'none.j2'" in output


@pytest.mark.parametrize("file", [{}, {"template": "t.j2", "content": "x"}])
def test_a_file_has_one_source(play, file):
    status, output = play.run([{"dest": "x", **file}])
    assert status != 0
    assert "template" in output
    assert "content" in output


def test_modes():
    assert config.octal(None, "/x") is None
    assert config.octal(0o640, "/x") == "0640"
    assert config.octal("0640", "/x") == "0640"
    for wrong in (True, ["0640"]):
        with pytest.raises(AnsibleActionFail, match="is not octal"):
            config.octal(wrong, "/x")


def test_arguments_are_shown_without_contents():
    args = {"role": "r", "files": [{"dest": "/a", "content": "geheim", "secret": True}]}
    assert config.shown(args) == {"role": "r", "files": [{"dest": "/a", "secret": True}]}
    assert args["files"][0]["content"] == "geheim"


def test_a_file_goes_as_it_is_and_a_mapping_as_json(play):
    folder = play.templates.parent / "files"
    folder.mkdir()
    (folder / "program.py").write_text("print('{{ this is no template }}')\n")
    play.run(
        [
            {"dest": "program", "file": "program.py", "interpreter": "/bin/python", "mode": "0755"},
            {"dest": "settings.json", "content": {"port": "{{ 11000 + 143 }}", "names": "{{ ['a'] }}"}},
        ]
    )
    assert (play.root / "out/program").read_text() == "#!/bin/python\nprint('{{ this is no template }}')\n"
    assert json.loads((play.root / "out/settings.json").read_text()) == {"port": 11143, "names": ["a"]}


NONCE = "of this run"
ASKED = {"role": "r", "roles": None, "unit": "a.service", "partial": False, "state_dir": _config_record.STATE_DIR}
WANTED = {
    "dest": "/etc/a.conf",
    "secret": False,
    "owner": "root",
    "group": "root",
    "mode": None,
    "unit": None,
    "content": "one\n",
}


def told(nonce=NONCE, pending=False, **more):
    """What a host's variables are after its node was read, and had the file."""
    files = {"/etc/a.conf": _config_record.wanted(WANTED, "one\n", "r", "a.service", NONCE)}
    return {"__dovecot_cluster": {"nonce": nonce}, "__dovecot_node": {"config": {"files": files, "pending": pending}}, **more}


def test_a_file_that_the_node_was_seen_to_have_is_not_sent():
    assert config.Known(told()).covers(ASKED, [WANTED], {})


@pytest.mark.parametrize(
    "variables, changes",
    [
        ({}, {}),
        (told(nonce="another run"), {}),
        ({**told(), "__dovecot_node": {"config": None}}, {}),
        ({**told(), "__dovecot_node": {}}, {}),
        (told(), {"content": "two\n"}),
        (told(), {"mode": "not octal"}),
    ],
)
def test_whatever_is_not_known_for_certain_the_module_looks_at(variables, changes):
    assert not config.Known(variables).covers(ASKED, [{**WANTED, **changes}], {})


def test_a_record_of_another_place_does_not_count():
    assert not config.Known(told()).covers({**ASKED, "state_dir": "/elsewhere"}, [WANTED], {})


def test_a_file_that_is_listed_twice_is_left_to_the_module_to_refuse():
    assert not config.Known(told()).covers(ASKED, [WANTED, WANTED], {})


def test_what_an_earlier_role_has_installed_in_this_run_stays_pending():
    assert config.Known(told(pending=True)).pending
    assert not config.Known(told()).pending
    assert config.Known(told(__dovecot_pending=True, __dovecot_pending_as_of=NONCE)).pending
    assert not config.Known(told(__dovecot_pending=True, __dovecot_pending_as_of="an earlier run")).pending
