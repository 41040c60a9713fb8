"""The fixtures of all scenarios: pytest looks for them in the folders above a test, too."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).with_name("shared")))

from fixtures import *  # noqa: E402, F403
