# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of a staged configuration: what they include, and where in them something stands."""

from __future__ import annotations

import re
from collections.abc import Container, Mapping

INCLUDE = re.compile(r"^(?P<head>\s*!include(?:_try)?\s+)(?P<pattern>\S+)(?P<tail>\s*)$")
READ = re.compile(r"^(?P<head>\s*[\w/]+\s*=\s*<\s*)(?P<path>/\S+)(?P<tail>\s*)$")


def includes(text: str) -> list[str]:
    """The patterns that a configuration file includes."""
    return [found.group("pattern") for found in map(INCLUDE.match, text.splitlines()) if found]


def redirect(text: str, tree: str, staged: Container[str]) -> str:
    """Lets absolute paths in a staged file lead into the tree: all includes, and the values read from a staged file."""
    lines = []
    for line in text.split("\n"):
        found = INCLUDE.match(line)
        if found and found.group("pattern").startswith("/"):
            line = found.group("head") + tree + found.group("pattern") + found.group("tail")
        else:
            found = READ.match(line)
            if found and found.group("path") in staged:
                line = found.group("head") + tree + found.group("path") + found.group("tail")
        lines.append(line)
    return "\n".join(lines)


def locate(contents: Mapping[str, str], setting: str, word: str) -> tuple[str | None, int | None]:
    """(path, line) in {path: text} where `setting` names `word`."""
    wanted = re.compile(r"^\s*%s\s*=.*(?<![\w/.-])%s(?![\w-])" % (re.escape(setting), re.escape(word)))
    for path in sorted(contents):
        for number, line in enumerate(contents[path].splitlines(), 1):
            if wanted.match(line):
                return path, number
    return None, None
