"""What is kept on the node, and the way back. On real directories."""

from __future__ import annotations

import json
import os
import stat

import pytest

from ansible_collections.mailcluster.dovecot.plugins.module_utils import _config_state as state
from ansible_collections.mailcluster.dovecot.plugins.module_utils._config_state import ConfigError, OnDisk, Store

STATE = "/var/lib/mailcluster-dovecot"
UID, GID = os.getuid(), os.getgid()


@pytest.fixture
def store(tmp_path):
    store = Store(STATE, str(tmp_path))
    store.prepare()
    return store


def mode(path):
    return stat.S_IMODE(os.lstat(path).st_mode)


def swap(store, contents, manifest=None, units=(), foreign=()):
    """Installs {path: content, or None to remove} as `config` does."""
    current = {path: store.read(path) for path in contents}
    store.remember(sorted(contents), current, list(units), manifest or {}, foreign)
    for path, content in contents.items():
        if content is None:
            store.remove(path)
        else:
            store.install(path, content, 0o644, UID, GID)


def put(store, path, content, permissions=0o644):
    place = store.live(path)
    os.makedirs(os.path.dirname(place), exist_ok=True)
    with open(place, "wb") as stream:
        stream.write(content)
    os.chmod(place, permissions)


def test_the_state_directory_is_closed(store):
    for path in (store.directory, store.before, store.replaced):
        assert mode(path) == 0o700


def test_reading(store):
    put(store, "/a", b"x", 0o640)
    os.symlink("/a", store.live("/link"))
    assert store.read("/a") == OnDisk(b"x", 0o640, UID, GID)
    assert store.read("/link") == OnDisk(target="/a")
    assert store.read("/nothing") is None
    assert store.read("/a/below") is None


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo])
def test_what_is_not_a_file_is_refused(store, make):
    make(store.live("/odd"))
    with pytest.raises(ConfigError, match="/odd is not a regular file"):
        store.read("/odd")


def test_a_file_is_installed_with_its_mode_in_directories_all_can_enter(store):
    old = os.umask(0o077)
    try:
        store.install("/etc/new/deep/file", b"x", 0o640, UID, GID)
    finally:
        os.umask(old)
    assert mode(store.live("/etc/new/deep/file")) == 0o640
    assert mode(store.live("/etc/new/deep")) == mode(store.live("/etc/new")) == 0o755
    assert os.listdir(store.live("/etc/new/deep")) == ["file"]


def test_content_is_never_visible_before_the_mode_is_right(store, monkeypatch):
    seen = []
    rename = os.rename
    monkeypatch.setattr(os, "rename", lambda a, b: (seen.append((mode(a), mode(a) & 0o077)), rename(a, b)))
    store.install("/secret", b"x", 0o600, UID, GID)
    assert seen == [(0o600, 0)]


def test_going_back_restores_content_mode_link_and_absence(store):
    put(store, "/changed", b"old", 0o640)
    put(store, "/removed", b"old2")
    os.symlink("/elsewhere", store.live("/link"))
    manifest = {"/changed": {"role": "r"}}
    swap(store, {"/changed": b"new", "/removed": None, "/link": b"file", "/created": b"x"}, manifest, ["a.service"])
    assert store.read("/created") is not None
    assert store.restore() == (["/changed", "/created", "/link", "/removed"], ["a.service"])
    assert store.read("/changed") == OnDisk(b"old", 0o640, UID, GID)
    assert store.read("/removed").content == b"old2"
    assert store.read("/link").target == "/elsewhere"
    assert store.read("/created") is None
    assert store.manifest() == manifest
    assert store.pending() is None
    assert os.listdir(store.before) == []


def test_going_back_means_to_what_was_applied_last(store):
    put(store, "/a", b"applied")
    swap(store, {"/a": b"first"}, {"/a": {"role": "r"}}, ["a.service"])
    swap(store, {"/a": b"second", "/b": b"x"}, {"other": {}}, ["b.service"])
    assert store.restore() == (["/a", "/b"], ["a.service", "b.service"])
    assert store.read("/a").content == b"applied"
    assert store.manifest() == {"/a": {"role": "r"}}


def test_without_anything_pending_there_is_no_way_back(store):
    assert store.restore() == ([], [])


def test_units_that_may_have_seen_the_files_are_kept_when_these_are_taken_back(store):
    put(store, "/a", b"old")
    swap(store, {"/a": b"new"}, units=["a.service"])
    store.save_pending(dict(store.pending(), applying=True))
    store.restore()
    assert store.read("/a").content == b"old"
    assert store.pending()["files"] == {}
    assert store.pending()["units"] == ["a.service"]


def test_going_back_can_be_interrupted_and_repeated(store, monkeypatch):
    put(store, "/a", b"old")
    put(store, "/b", b"old")
    swap(store, {"/a": b"new", "/b": b"new"})
    install = Store.install

    def fail_at_b(self, path, *rest):
        if path == "/b":
            raise OSError("no space")
        install(self, path, *rest)

    monkeypatch.setattr(Store, "install", fail_at_b)
    with pytest.raises(OSError, match="no space"):
        store.restore()
    monkeypatch.setattr(Store, "install", install)
    assert store.restore()[0] == ["/a", "/b"]
    assert store.read("/a").content == store.read("/b").content == b"old"


def test_the_record_is_there_before_the_first_swap(store):
    put(store, "/a", b"old")
    store.remember(["/a"], {"/a": store.read("/a")}, ["a.service"], {}, [])
    # Here the power fails: another process finds it.
    other = Store(STATE, store.root)
    assert other.restore() == (["/a"], ["a.service"])
    assert other.read("/a").content == b"old"


def test_previous_versions_are_closed_to_others(store):
    put(store, "/a", b"geheim", 0o644)
    swap(store, {"/a": b"new"})
    assert [mode(os.path.join(store.before, name)) for name in os.listdir(store.before)] == [0o600]
    assert mode(store.pending_file) == 0o600


def test_what_was_replaced_is_kept_once(store):
    put(store, "/etc/x.conf", b"stock")
    swap(store, {"/etc/x.conf": b"ours"}, foreign=["/etc/x.conf"])
    swap(store, {"/etc/x.conf": b"ours 2"}, foreign=["/etc/x.conf"])
    with open(os.path.join(store.replaced, "etc/x.conf"), "rb") as stream:
        assert stream.read() == b"stock"


def test_damaged_records_are_refused_in_words(store):
    for path, read in ((store.pending_file, store.pending), (store.manifest_file, store.manifest)):
        with open(path, "w") as stream:
            stream.write("{")
        with pytest.raises(ConfigError, match="is damaged"):
            read()


def test_two_runs_do_not_mix(store, monkeypatch):
    monkeypatch.setattr(state, "LOCK_SECONDS", 0.2)
    store.lock()
    other = Store(STATE, store.root)
    with pytest.raises(ConfigError, match="another run"):
        other.lock()
    other.unlock()
    store.unlock()
    other.lock()
    other.unlock()


def test_the_lock_of_a_bare_host_leaves_nothing(tmp_path):
    store = Store(STATE, str(tmp_path))
    store.lock()
    store.unlock()
    assert os.listdir(tmp_path) == []


def test_the_staged_tree_is_private_and_remains_are_swept(store):
    os.makedirs(store.live("/run/mailcluster-stage-killed/etc"))
    os.makedirs(store.live("/run/other"))
    store.lock()
    tree = store.new_tree()
    store.stage(tree, {"/etc/x": b"x"})
    assert mode(tree) == 0o700
    assert mode(tree + "/etc/x") == 0o600
    assert sorted(os.listdir(store.live("/run"))) == sorted(["other", os.path.basename(tree)])
    store.discard(tree)
    assert os.listdir(store.live("/run")) == ["other"]
    store.unlock()


def test_records_can_be_read_by_a_person(store):
    store.save_manifest({"/a": {"role": "r"}})
    with open(store.manifest_file) as stream:
        assert json.load(stream) == {"files": {"/a": {"role": "r"}}}
