"""The fixtures of all scenarios."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "shared"))

from fixtures import *  # noqa: E402, F403
