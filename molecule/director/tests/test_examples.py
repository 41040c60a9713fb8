"""The examples of the modules' documentation, run as they stand there."""

from __future__ import annotations

import json
import subprocess

import pytest
import yaml
from clients import eventually
from fixtures import CHECKOUT

ON = {
    **dict.fromkeys(["director_backends", "director_backend", "director_user", "director_info", "director_ring"], "director1"),
    **dict.fromkeys(["replicator_user", "replicator_info", "mailbox_maintenance", "user_info"], "a1"),
}


def examples_of(module):
    done = subprocess.run(
        [CHECKOUT / "lab", "run", "ansible-doc", "--json", f"mailcluster.dovecot.{module}"],
        capture_output=True,
        text=True,
        check=True,
    )
    return yaml.safe_load(json.loads(done.stdout)[f"mailcluster.dovecot.{module}"]["examples"])


@pytest.fixture
def as_declared(nodes, ansible, lab_is_whole):
    """Afterwards the ring is what the inventory declares, drained backends included."""
    yield
    director = nodes["director1"]
    for host in ("198.51.100.31", "198.51.100.42"):
        director.run("doveadm director update %s 100", host)
    director.run("doveadm director flush -F all")
    nodes["a1"].run("doveadm replicator add '*'")
    eventually(lab_is_whole, 60, "a whole cluster", interval=1)


@pytest.fixture
def dead_director(nodes):
    """director3 is down, as the example of its removal supposes; afterwards it is in the ring."""
    nodes["director3"].run("systemctl stop dovecot")
    yield
    nodes["director3"].run("systemctl start dovecot")
    nodes["director1"].run("doveadm director ring add %s", nodes["director3"].address)


@pytest.mark.parametrize("module", ON)
def test_the_examples_run(module, request, as_declared, ansible, tmp_path):
    if module == "director_ring":
        request.getfixturevalue("dead_director")
    playbook = tmp_path / "examples.yml"
    playbook.write_text(yaml.safe_dump([{"hosts": ON[module], "gather_facts": False, "tasks": examples_of(module)}]))
    done = ansible(playbook)
    assert done.returncode == 0, done.stdout + done.stderr
