"""What is shown of a part while it runs."""

from __future__ import annotations

from labtool.progress import stage_of


def test_how_far_a_part_is_is_read_from_what_it_prints():
    molecule = "INFO     [ideal > converge] Executing\nPLAY [Every node]\n"
    assert stage_of(molecule) == "converge"
    molecule += "INFO     [ideal > verify] Executing\ntests/test_a.py ....  [  7%]\n...  [ 43%]\n"
    assert stage_of(molecule) == "verify 43 %"
    assert stage_of("--- ruff check .\nAll good\n--- yamllint --strict .\n") == "yamllint"
    assert stage_of("nothing of this kind") == ""
