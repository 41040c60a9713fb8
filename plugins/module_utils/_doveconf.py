# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Dovecot's configuration as doveconf (2.3) prints it, and what it complains about.  Data in, data out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

MAIN = "/etc/dovecot/dovecot.conf"
FILTERS = ("protocol", "remote", "local", "local_name")


@dataclass(slots=True, eq=False)
class Problem:
    """One thing that is wrong. path, line: where it is written, if known. absent: something the host lacks."""

    message: str
    path: str | None = None
    line: int | None = None
    absent: bool = False


@dataclass(slots=True, eq=False)
class Section:
    """A block of `doveconf -n`: kind and name (`protocol imap`), settings, blocks inside."""

    kind: str = ""
    name: str = ""
    parent: Section | None = field(default=None, repr=False)
    settings: dict[str, str] = field(default_factory=dict)
    sections: list[Section] = field(default_factory=list)

    def walk(self) -> Iterator[Section]:
        yield self
        for section in self.sections:
            yield from section.walk()

    def filters(self) -> Iterator[Section]:
        """This and all nested blocks in which every setting may stand: protocol, local, remote..."""
        yield self
        for section in self.sections:
            if section.kind in FILTERS:
                yield from section.filters()

    def effective(self, setting: str, default: str = "") -> str:
        """The value in force here: of this block or of the nearest one around it."""
        section: Section | None = self
        while section is not None:
            if setting in section.settings:
                return section.settings[setting]
            section = section.parent
        return default

    @property
    def title(self) -> str:
        names: list[str] = []
        section: Section | None = self
        while section is not None and section.kind:
            names.insert(0, (section.kind + " " + section.name).strip())
            section = section.parent
        return " / ".join(names)

    def where(self, setting: str) -> str:
        return "%s of %s" % (setting, self.title) if self.title else setting


def unquote(value: str) -> str:
    value = value.strip()
    if len(value) >= 2 and value[0] == value[-1] and value[0] in "\"'":
        quote = value[0]
        return re.sub(r"\\([\\%s])" % quote, r"\1", value[1:-1])
    return value


def parse(text: str) -> Section:
    """`doveconf -nP` -> Section. Lines that mean nothing to it are skipped."""
    here = root = Section()
    for raw in text.splitlines():
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        name, equals, value = line.partition("=")
        if line == "}":
            here = here.parent or root
        elif line.endswith("{") and (not equals or not re.match(r"[\w/:.-]+\s*$", name)):
            kind, dummy, rest = line[:-1].strip().partition(" ")
            section = Section(kind, unquote(rest), here)
            here.sections.append(section)
            here = section
        elif equals:
            here.settings[name.strip()] = unquote(value)
    return root


# Warnings of doveconf that mean that a setting does not do what it says.
WITHOUT_EFFECT = re.compile(
    r"Warning: (?:(?P<path>/\S+) line (?P<line>\d+): (?P<late>Global setting \S+ won't change the setting inside an earlier"
    r" filter at \S+ line \d+).*"
    r"|Obsolete setting in (?P<old_path>/\S+?):(?P<old_line>\d+): (?P<old>.* (?:has been removed|no longer).*)"
    r"|(?P<ssl>SSL is disabled because global ssl=no.*))$"
)
AT_LINE = re.compile(r"Error in configuration file (?P<path>\S+?)(?: line (?P<line>\d+))?: (?P<text>.*)$")
STARTED = re.compile(r"section started at (?P<path>\S+?):(?P<line>\d+)")


def complaints(stderr: str, tree: str = "") -> list[Problem]:
    """What doveconf wrote to standard error -> Problems in terms of live paths, without its repetitions."""
    problems: list[Problem] = []
    texts: list[str] = []
    for raw in stderr.splitlines():
        line = raw.replace(tree, "") if tree else raw
        line = re.sub(r"^doveconf: ", "", line.strip())
        if not line or "dump-capability process" in line or line in texts:
            continue
        texts.append(line)
        unheeded = WITHOUT_EFFECT.match(line)
        if unheeded:
            problems.append(without_effect(unheeded))
            continue
        found = AT_LINE.search(line)
        if found:
            path, number, text = found.group("path"), found.group("line"), found.group("text")
            started = STARTED.search(text)
            if started:
                path, number = started.group("path"), started.group("line")
            problems.append(Problem(text, path, int(number) if number else None))
        elif line.startswith(("Fatal:", "Error:")):
            problems.append(Problem(line.split(":", 1)[1].strip()))
    # "Error: X" is repeated as "Fatal: Error in configuration file F: X".
    located = {problem.message for problem in problems if problem.path}
    unique: list[Problem] = []
    seen: set[tuple[str, str | None, int | None]] = set()
    for problem in problems:
        key = (problem.message, problem.path, problem.line)
        if key in seen or (problem.path is None and problem.message in located):
            continue
        seen.add(key)
        unique.append(problem)
    return unique


def without_effect(found: re.Match[str]) -> Problem:
    if found.group("late"):
        text = found.group("late").replace("won't", "would not") + ". Write it inside that section, or before it."
        return Problem(text, found.group("path"), int(found.group("line")))
    if found.group("old"):
        return Problem(found.group("old") + ". Remove it.", found.group("old_path"), int(found.group("old_line")))
    return Problem(found.group("ssl"), MAIN)
