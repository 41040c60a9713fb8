"""A variable in a file of Dovecot's is quoted, or preflight lets only numbers, choices and words pass that need no quotes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from ansible_collections.mailcluster.dovecot.plugins.plugin_utils import _meanings

ROLES = Path(__file__).resolve().parents[3] / "roles"
FRAGMENTS = sorted(path for pattern in ("[0-9][0-9]-*.conf.j2", "*.passwd.j2") for path in ROLES.glob(f"*/templates/{pattern}"))
EXPRESSION = re.compile(r"\{\{(.*?)\}\}", re.S)
# What one would have to quote.
SIGNS = ("a #b", "$a", "</etc/a", '"a"', "a\\", " a", "a\nb")


def specifications():
    found = {}
    for path in ROLES.glob("*/meta/argument_specs.yml"):
        found.update(yaml.safe_load(path.read_text())["argument_specs"]["main"]["options"])
    return found


SPECIFICATIONS = specifications()


def written():
    """(file, variable) for each that is written as it is."""
    for path in FRAGMENTS:
        for expression in EXPRESSION.findall(path.read_text()):
            if "mailcluster.dovecot.quoted" not in expression:
                yield from ((path.name, name) for name in re.findall(r"(?<![\w.])dovecot_\w+", expression))


def is_plain(variable):
    spec = SPECIFICATIONS[variable]
    if spec.get("type") in ("int", "float", "bool") or "choices" in spec:
        return True
    if spec.get("type") == "dict":
        return all(isinstance(value, int) for value in spec["default"].values())
    return all(_meanings.problems(variable, text) for text in SIGNS)


@pytest.mark.parametrize(("file", "variable"), sorted(set(written())))
def test_what_is_not_quoted_needs_no_quotes(file, variable):
    assert is_plain(variable), f"{variable} in {file}: write it with mailcluster.dovecot.quoted"


def test_all_fragments_are_looked_at():
    assert {"10-server.conf.j2", "30-backend.conf.j2", "20-replication.conf.j2", "users.passwd.j2"} <= {
        path.name for path in FRAGMENTS
    }
