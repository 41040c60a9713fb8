"""A module tells what it is, which options it has, and where its work is; all else is in module_utils."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PLUGINS = Path(__file__).resolve().parents[4] / "plugins"
LONGEST = 60


@pytest.mark.parametrize("path", sorted(PLUGINS.glob("modules/*.py")), ids=lambda path: path.stem)
def test_the_body_of_a_module_is_one_screen(path):
    text = path.read_text()
    documentation = [node for node in ast.parse(text).body if isinstance(node, ast.Assign)]
    [end] = [node.end_lineno for node in documentation if node.targets[0].id == "RETURN"]
    assert len([line for line in text.splitlines()[end:] if line.strip()]) <= LONGEST


def test_modules_fail_in_one_place():
    assert [path.name for path in PLUGINS.rglob("*.py") if ".fail_json(" in path.read_text()] == ["_main.py"]
