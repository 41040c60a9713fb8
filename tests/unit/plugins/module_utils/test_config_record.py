"""What a node tells of its files is enough to know that nothing has to be done, and never too little."""

from __future__ import annotations

import os

import pytest

from ansible_collections.mailcluster.dovecot.plugins.module_utils._config_call import Call
from ansible_collections.mailcluster.dovecot.plugins.module_utils._config_record import is_as_wanted, record, wanted
from ansible_collections.mailcluster.dovecot.plugins.module_utils._config_state import Store

NONCE = "of this run"
FILE = {"dest": "/etc/a.conf", "secret": False, "owner": str(os.getuid()), "group": str(os.getgid()), "mode": None, "unit": None}


class Node:
    """A node below a folder, on which files were installed. Owners are numbers, as where an account has no name."""

    def __init__(self, root):
        self.root, self.store = root, Store("/state", str(root))

    def install(self, *files, role="r", **more):
        params = {"role": role, "roles": None, "unit": "a.service", "partial": False, "validate": [], "secrets": {}, **more}
        Call({**params, "files": list(files), "state_dir": "/state"}, None, None, root=str(self.root))()

    def knows(self, *files, role="r", roles=None, partial=False):
        """Whether these files would be found to be there, in the words of the action plugin."""
        asked = {file["dest"]: wanted(file, file["content"], role, "a.service", NONCE) for file in files}
        return is_as_wanted(self.record(), role, roles, asked, partial)

    def record(self):
        found = record(NONCE, self.store)
        for file in found["files"].values():
            file["owner"], file["group"] = str(os.getuid()), str(os.getgid())
        return found


@pytest.fixture
def node(tmp_path):
    (tmp_path / "etc").mkdir()
    node = Node(tmp_path)
    node.install({**FILE, "content": "one\n"})
    return node


def test_what_was_just_installed_is_as_wanted(node):
    assert node.knows({**FILE, "content": "one\n"})


@pytest.mark.parametrize(
    "change",
    [{"content": "two\n"}, {"mode": "0600"}, {"owner": "vmail"}, {"group": "vmail"}, {"unit": "b.service"}, {"secret": True}],
    ids=lambda change: next(iter(change)),
)
def test_a_file_that_is_to_be_otherwise_is_not(change, node):
    assert not node.knows({**FILE, "content": "one\n", **change})


def test_another_role_s_file_is_not(node):
    assert not node.knows({**FILE, "content": "one\n"}, role="other")


def test_a_file_more_is_not_and_a_file_less_neither_unless_the_call_is_partial(node):
    more = {**FILE, "dest": "/etc/b.conf", "content": "b\n"}
    assert not node.knows({**FILE, "content": "one\n"}, more)
    node.install({**FILE, "content": "one\n"}, more)
    assert not node.knows(more)
    assert node.knows(more, partial=True)


def test_files_of_a_role_that_the_node_has_lost_are_to_be_removed(node):
    node.install({**FILE, "dest": "/etc/b.conf", "content": "b\n"}, role="lost")
    assert node.knows({**FILE, "content": "one\n"})
    assert not node.knows({**FILE, "content": "one\n"}, roles=["kept"])


@pytest.mark.parametrize("by", ["content", "mode", "removal", "link", "folder"])
def test_what_somebody_has_changed_on_the_node_is_seen(by, node):
    path = node.root / "etc/a.conf"
    if by == "content":
        path.write_text("one\n#\n")
    elif by == "mode":
        path.chmod(0o666)
    else:
        path.unlink()
    if by == "link":
        path.symlink_to("/etc/hosts")
    elif by == "folder":
        path.mkdir()
        assert record(NONCE, node.store) is None, "config itself says that it is no file"
        return
    assert not node.knows({**FILE, "content": "one\n"})


def test_contents_are_told_by_digests_of_this_run_alone(node):
    assert "one" not in str(node.record())
    assert record("another run", node.store)["files"]["/etc/a.conf"]["digest"] != node.record()["files"]["/etc/a.conf"]["digest"]


def test_whether_something_is_not_in_force_yet_is_told(node):
    assert node.record()["pending"]
    node.store.clear()
    assert not node.record()["pending"]


def test_a_record_that_is_damaged_is_not_believed(node):
    (node.root / "state/manifest.json").write_text("{")
    assert record(NONCE, node.store) is None


def test_a_bare_node_has_no_files(tmp_path):
    assert record(NONCE, Store("/state", str(tmp_path))) == {"files": {}, "pending": False}
