"""What a role's README says is what its argument specification says."""

from __future__ import annotations

import pytest

from labtool.role_readmes import ROLES, readme


@pytest.mark.parametrize("role", sorted(path.parents[1].name for path in ROLES.glob("*/meta/argument_specs.yml")))
def test_the_readme_of_a_role_is_made_from_its_specification(role):
    path = ROLES / role / "README.md"
    assert path.exists() and path.read_text() == readme(ROLES / role), "run ./lab run python -m labtool.role_readmes"
