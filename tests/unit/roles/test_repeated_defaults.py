"""What is read of a role's variables before the role itself runs falls back to that role's default.

An empty fallback is none: where only what an inventory says itself is looked at.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
import yaml

CHECKOUT = Path(__file__).resolve().parents[3]
DEFAULTS = {
    name: value
    for path in CHECKOUT.glob("roles/*/defaults/main.yml")
    for name, value in (yaml.safe_load(path.read_text()) or {}).items()
    if "{{" not in str(value)}
PLACES = ("roles/*/tasks/*.yml", "roles/*/templates/*.j2", "playbooks/*.yml")
IN_JINJA = re.compile(r"(dovecot_\w+) \| default\((\[[^|]*?\]|\{[^|]*?\}|'[^']*'|[\w.]+)\)")
IN_PYTHON = re.compile(r'host\.get\("(dovecot_\w+)"(?:, ([^)]+))?\)(?: or ([^ ,)]+))?')


def literal(text):
    return {"true": True, "false": False}[text] if text in ("true", "false") else ast.literal_eval(text)


def repeated():
    """Name, fallback and place of each, where the name is a role's whose default is a plain value."""
    for path in (path for places in PLACES for path in CHECKOUT.glob(places)):
        for name, fallback in IN_JINJA.findall(path.read_text()):
            if name in DEFAULTS and fallback not in ("omit", "''"):
                yield name, literal(fallback), path
    preflight = CHECKOUT / "plugins/action/preflight.py"
    for name, fallback, otherwise in IN_PYTHON.findall(preflight.read_text()):
        if name in DEFAULTS:
            yield name, literal(fallback or otherwise or "None"), preflight


@pytest.mark.parametrize(("name", "fallback"), [
    pytest.param(name, fallback, id=f"{path.relative_to(CHECKOUT)}-{name}") for name, fallback, path in repeated()])
def test_the_fallback_is_the_default_of_the_role(name, fallback):
    default = DEFAULTS[name]
    if isinstance(fallback, dict):  # the entries that are needed there
        default = {key: default[key] for key in fallback}
    assert fallback == default
