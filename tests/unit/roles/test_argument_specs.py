"""Each role's argument_specs.yml and defaults/main.yml tell the same."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

ROLES = sorted((Path(__file__).resolve().parents[3] / "roles").iterdir())


def load(path):
    return yaml.safe_load(path.read_text()) or {}


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_every_default_is_specified_with_the_same_value(role):
    defaults = load(role / "defaults/main.yml")
    options = load(role / "meta/argument_specs.yml")["argument_specs"]["main"]["options"]

    assert set(options) == set(defaults)
    for name, default in defaults.items():
        if "{{" in str(default):
            assert "default" not in options[name], f"{name} is derived: its spec cannot have a default"
        else:
            assert options[name]["default"] == default, f"the default of {name} differs"


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_every_option_is_described(role):
    options = load(role / "meta/argument_specs.yml")["argument_specs"]["main"]["options"]
    assert [name for name, option in options.items() if not option.get("description")] == []
