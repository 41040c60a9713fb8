"""The collection as users get it: built, installed from the archive, and its playbooks called by name."""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[3]
NOT_FOR_USERS = (
    "lab",
    "labtool",
    "changelog.d",
    "mypy.ini",
    "towncrier.toml",
    ".codespellrc",
    "molecule",
    "tests",
    "benchmarks",
    ".venv",
    ".lab",
    ".ci",
)


def run(*words, **environment):
    done = subprocess.run(words, env={**os.environ, **environment}, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    folder = tmp_path_factory.mktemp("archive")
    run("ansible-galaxy", "collection", "build", CHECKOUT, "--output-path", folder)
    (built,) = folder.glob("mailcluster-dovecot-*.tar.gz")
    return built


@pytest.fixture(scope="module")
def installed(archive, tmp_path_factory):
    folder = tmp_path_factory.mktemp("installed")
    # the path of the lab's environment has this checkout, which would do for an installation
    run(
        "ansible-galaxy",
        "collection",
        "install",
        archive,
        "--collections-path",
        folder,
        "--offline",
        ANSIBLE_COLLECTIONS_PATH=str(folder),
    )
    return folder


def test_the_archive_has_what_users_need_and_nothing_else(archive):
    with tarfile.open(archive) as opened:
        names = opened.getnames()
    assert {"README.md", "LICENSE", "CHANGELOG.md", "playbooks/site.yml", "plugins/modules/config.py"} <= set(names)
    assert [name for name in names if name.split("/")[0] in NOT_FOR_USERS] == []
    assert [name for name in names if ".secrets" in name] == []


PLAYBOOKS = sorted(path.stem for path in (CHECKOUT / "playbooks").glob("*.yml"))


@pytest.mark.parametrize("playbook", PLAYBOOKS)
def test_the_playbooks_run_by_their_names(playbook, installed, tmp_path):
    inventory = tmp_path / "ideal"
    shutil.copytree(CHECKOUT / "inventories/ideal", inventory, ignore=shutil.ignore_patterns(".secrets"))
    tasks = run(
        "ansible-playbook",
        "-i",
        inventory / "hosts.yml",
        f"mailcluster.dovecot.{playbook}",
        "--list-tasks",
        ANSIBLE_COLLECTIONS_PATH=str(installed),
    )
    assert "Check the inventory" in tasks or "Run the maintenance" in tasks


@pytest.mark.parametrize(
    "kind, name",
    [
        ("role", "backend"),
        ("module", "config"),
        ("module", "director_backends"),
        ("filter", "merged_networks"),
        ("filter", "user_databases"),
        ("filter", "quoted"),
    ],
)
def test_the_documentation_is_readable(kind, name, installed):
    assert name in run("ansible-doc", "-t", kind, f"mailcluster.dovecot.{name}", ANSIBLE_COLLECTIONS_PATH=str(installed))
