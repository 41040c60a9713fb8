"""The programs of the roles, imported as modules; on a node they lie side by side."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

ROLES = Path(__file__).resolve().parents[3] / "roles"
sys.path.insert(0, str(ROLES / "server/files"))


def program(role, name):
    """A module of its own for each call."""
    spec = importlib.util.spec_from_file_location(name, ROLES / role / "files" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look there
    spec.loader.exec_module(module)
    return module
