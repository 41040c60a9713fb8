# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tells the replicator of the users whom the mail processes have noted (changed.lua), since Dovecot itself does not.

A user is an empty file in the folder. It goes before the replicator is told: what changes from then on is noted again. While
Dovecot does not run, or its pipe is full, the files stay; nothing is lost, and nobody waits.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote_to_bytes

import node_program

PIPE = Path("/run/dovecot/replication-notify-fifo")
INTERVAL = 0.5  # seconds; Dovecot waits as long with what it tells by itself


@dataclass(frozen=True)
class Settings:
    folder: str  # where users are noted


def pass_on(folder: Path, pipe: Path) -> int:
    """Tells of all who are noted, as far as the pipe takes it; how many that were."""
    names = os.listdir(folder)
    if not names:
        return 0
    told = 0
    # without a reader this fails at once, and with a full pipe so does each line
    stream = os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
    try:
        for name in names:
            (folder / name).unlink()
            try:
                os.write(stream, unquote_to_bytes(name) + b"\tlow\n")
            except OSError:
                (folder / name).touch(mode=0o600)
                raise
            told += 1
    finally:
        os.close(stream)
    return told


def main() -> None:
    folder = Path(Settings(**node_program.settings_of("changes")).folder)
    node_program.repeat(lambda: pass_on(folder, PIPE), INTERVAL, "expunges wait to be told to the replicator")


if __name__ == "__main__":
    main()
