"""The scenarios of Molecule, and the inventory and nodes of each."""

from __future__ import annotations

import yaml

from labtool import inventory, paths
from labtool.system import LabError

FOLDER = paths.ROOT / "molecule"


def names() -> list[str]:
    return sorted(path.parent.name for path in FOLDER.glob("*/molecule.yml"))


def describe(name: str) -> str:
    """The first sentence of a scenario's molecule.yml."""
    lines = (FOLDER / name / "molecule.yml").read_text().splitlines()
    comment = " ".join(line.removeprefix("#").strip() for line in lines if line.startswith("#"))
    return comment.partition(". ")[0].partition(": inventories/")[0]


def variant_of(name: str) -> str:
    """The variant that a scenario runs on: LAB_VARIANT in its molecule.yml, or else the one of its own name."""
    return _settings(name).get("LAB_VARIANT", name)


def is_extra(name: str) -> bool:
    """Whether only a run of everything has it: LAB_EXTRA in its molecule.yml. It would make the usual run too long."""
    return "LAB_EXTRA" in _settings(name)


def _settings(name: str) -> dict[str, str]:
    settings: dict[str, dict[str, dict[str, str]]] = yaml.safe_load((FOLDER / name / "molecule.yml").read_text())
    return settings.get("ansible", {}).get("env", {})


def kinds_of(name: str) -> set[str]:
    """The kinds of its nodes. None if the inventory cannot be read: then the scenario runs, and fails."""
    try:
        return {node.kind for node in inventory.load(variant_of(name)).nodes}
    except LabError:
        return set()


def refuse_incomplete(name: str) -> None:
    """Refuse missing playbooks and a missing or empty folder of tests. Molecule would only warn."""
    needed = [FOLDER / "shared" / f"{playbook}.yml" for playbook in ("create", "converge", "check_mode", "destroy")]
    needed.append(inventory.path_of(variant_of(name)))
    missing = [str(path.relative_to(paths.ROOT)) for path in needed if not path.exists()]
    if not list((FOLDER / name).glob("tests/test_*.py")):
        missing.append(f"molecule/{name}/tests/test_*.py")
    if missing:
        raise LabError(f"The scenario {name} is incomplete. Missing: {', '.join(missing)}.")
