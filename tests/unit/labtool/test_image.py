"""How the images of nodes are made."""

from __future__ import annotations

import subprocess

from labtool import image, paths, vm_image, vm_kernel


def test_what_makes_one_image_leaves_alone_what_makes_another_at_the_same_time(monkeypatch, tmp_path):
    monkeypatch.setattr(paths, "STORE", tmp_path)
    (tmp_path / "mmdebstrap.other").mkdir()
    image.bootstrap(["true"])
    assert (tmp_path / "mmdebstrap.other").exists()


def test_a_disk_whose_making_was_interrupted_is_made_again_whatever_is_still_mounted_there(monkeypatch, tmp_path):
    monkeypatch.setattr(paths, "VM_IMAGES", tmp_path)
    monkeypatch.setattr(vm_kernel, "ensure", lambda: None)
    monkeypatch.setattr(vm_image, "_build", lambda draft: (draft / "disk.img").touch())
    left = tmp_path / "draft/root/proc"
    left.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", left], check=True)
    assert vm_image.ensure() == str(vm_image.folder())
    assert not left.exists() and (vm_image.folder() / "disk.img").exists()
