"""What the lab takes away from the machine."""

from __future__ import annotations

import subprocess

import pytest

from labtool import nodes, paths


@pytest.fixture
def store(monkeypatch, tmp_path):
    for name in ("STORE", "STATE", "PODMAN_RUN", "PODMAN_TMP"):
        monkeypatch.setattr(paths, name, tmp_path / name)
    (tmp_path / "STORE/storage/overlay").mkdir(parents=True)
    return tmp_path / "STORE"


def mount(point):
    point.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", point], check=True)


def test_the_storage_goes_with_what_is_mounted_in_it(store):
    mount(store / "storage/overlay")
    (store / "storage/overlay/layer").touch()
    assert nodes.remove_storage(store) == [f"storage {store}"]
    assert not store.exists()
    assert nodes.remove_storage(store) == []


def test_a_disk_that_somebody_mounted_for_the_lab_is_emptied_and_stays(store):
    mount(store)
    try:
        (store / "storage").mkdir()
        (store / "storage/layer").touch()
        nodes.remove_storage(store)
        assert store.is_mount()
        assert list(store.iterdir()) == []
    finally:
        subprocess.run(["umount", store], check=True)
