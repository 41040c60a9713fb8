"""Entry point of ``python -m labtool``."""

import sys

from labtool.cli import main

sys.exit(main())
