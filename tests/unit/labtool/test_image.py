"""How the images of nodes are made."""

from __future__ import annotations

from labtool import image, paths


def test_what_makes_one_image_leaves_alone_what_makes_another_at_the_same_time(monkeypatch, tmp_path):
    monkeypatch.setattr(paths, "STORE", tmp_path)
    (tmp_path / "mmdebstrap.other").mkdir()
    image.bootstrap(["true"])
    assert (tmp_path / "mmdebstrap.other").exists()
