"""Each role's argument_specs.yml and defaults/main.yml tell the same, and a variable that several roles read has one home."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from ansible_collections.mailcluster.dovecot.plugins.plugin_utils import _specification

CHECKOUT = Path(__file__).resolve().parents[3]
ROLES = sorted(path.parents[1] for path in CHECKOUT.glob("roles/*/meta/argument_specs.yml"))


def load(path):
    return yaml.safe_load(path.read_text()) or {}


def options(role):
    return load(role / "meta/argument_specs.yml")["argument_specs"]["main"]["options"]


def test_a_role_without_a_specification_has_no_variables():
    assert sorted(path.parents[1].name for path in CHECKOUT.glob("roles/*/defaults/main.yml")) == [role.name for role in ROLES]


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_every_default_is_specified_with_the_same_value(role):
    defaults = {name: value for name, value in load(role / "defaults/main.yml").items() if not name.startswith("__")}

    assert set(options(role)) == set(defaults)
    for name, default in defaults.items():
        if "{{" in str(default):
            assert "default" not in options(role)[name], f"{name} is derived: its spec cannot have a default"
        else:
            assert options(role)[name]["default"] == default, f"the default of {name} differs"


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_every_option_is_described(role):
    assert [name for name, option in options(role).items() if not option.get("description")] == []


def readers():
    """Variable -> the roles and playbooks that have its name in anything but words for people."""
    found = {}
    for path in sorted([*CHECKOUT.glob("roles/*/*/**/*"), *CHECKOUT.glob("playbooks/**/*.yml")]):
        # a program's compiled form, where somebody has compiled it
        if path.is_file() and path.name != "argument_specs.yml" and path.suffix != ".pyc":
            reader = path.relative_to(CHECKOUT).parts[1] if "roles" in path.parts else "playbooks"
            text = re.sub(r"(?m)^ *#.*|^( *)(fail_)?msg: .*(\n\1 +.*)*", "", path.read_text())
            for name in re.findall(r"(?<![\w.])dovecot_\w+", text):
                found.setdefault(name, set()).add(reader)
    return found


READERS = readers()


@pytest.mark.parametrize("role", [role for role in ROLES if role.name != "cluster"], ids=lambda role: role.name)
def test_what_another_role_reads_is_the_cluster_s(role):
    assert {name: others for name in options(role) if (others := READERS.get(name, set()) - {role.name})} == {}


def test_every_reader_of_the_cluster_s_variables_is_a_role_of_its_inventory():
    shared = set(options(CHECKOUT / "roles/cluster"))
    named = {name for names in _specification.READ_BY.values() for name in names}
    assert named <= shared
