# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs the validators of `config` on the staged tree and words their refusal."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from ansible_collections.mailcluster.dovecot.plugins.module_utils import _config_databases
from ansible_collections.mailcluster.dovecot.plugins.module_utils._config_dovecot import Check
from ansible_collections.mailcluster.dovecot.plugins.module_utils._config_plan import Wanted
from ansible_collections.mailcluster.dovecot.plugins.module_utils._config_state import ConfigError, Manifest, OnDisk, digest
from ansible_collections.mailcluster.dovecot.plugins.module_utils._doveconf import Problem
from ansible_collections.mailcluster.dovecot.plugins.module_utils._types import Find, Run

SHORTEST_SECRET = 6
MOST_LINES = 20
HARMLESS = (
    "Ambiguous '#' character",
    "Can't open configuration file",
    "Expecting '='",
    "Expecting '{'",
    "Invalid boolean value",
    "Invalid boolean",
    "Invalid number",
    "Invalid port number",
    "Invalid size",
    "Invalid time interval",
    "Missing '}'",
    "Missing value in connect string",
    "No base given",
    "No hosts given in connect string",
    "No matches",
    "No uris or hosts set",
    "Unexpected '}'",
    "Unknown connect string",
    "Unknown database driver",
    "Unknown deref option",
    "Unknown scope option",
    "Unknown setting",
    "Unknown tls_require_cert value",
    "Unknown variable",
    "connect string not set",
    "driver not set",
)


class Veil:
    """Takes secrets out of what a validator says: a validator may quote the line it does not like."""

    def __init__(self, secrets: dict[str, str]) -> None:
        """secrets: {path: content as text}"""
        self.paths = sorted(secrets)
        words: set[str] = set()
        for content in secrets.values():
            for line in content.splitlines():
                parts = [part for part in re.split(r"[\s=:\"']+", line.strip()) if part]
                # The first word of a line is the name of a setting (or a user): needed to understand the message.
                words.update(part for part in parts[1:] if len(part) >= SHORTEST_SECRET)
        self.words = sorted(words, key=len, reverse=True)

    def words_out(self, text: str) -> str:
        for word in self.words:
            text = text.replace(word, "********")
        return text

    def problem(self, problem: Problem) -> str:
        if problem.path in self.paths:
            start = next((start for start in HARMLESS if problem.message.startswith(start)), "refused")
            return start + " (the line is secret, not shown)"
        return self.words_out(problem.message)

    def output(self, text: str) -> str:
        lines = []
        for line in text.splitlines():
            named = next((path for path in self.paths if path in line), None)
            if named:
                number = re.search(re.escape(named) + r"\W+(?:line )?(\d+)", line)
                line = "%s%s: (secret, not shown)" % (named, " line " + number.group(1) if number else "")
            lines.append(self.words_out(line))
        return "\n".join(lines)


def origin(path: str, wanted: Mapping[str, Wanted], current: Mapping[str, OnDisk | None], manifest: Manifest, role: str) -> str:
    """What a user needs to find the source of a managed file."""
    if path in wanted:
        file = wanted[path]
        return "role %s, %s" % (role, file.source or "literal content")
    entry = manifest.get(path)
    if entry is None:
        return "not managed by this collection"
    text = "role %s" % entry["role"]
    disk = current.get(path)
    if disk is not None and "sha256" in entry and digest(disk.content) != entry["sha256"]:
        text += "; edited by hand since: delete it, its role writes it again"
    return text


def line_of(content: str, number: int | None) -> str:
    lines = content.splitlines()
    return lines[number - 1].strip() if number and 0 < number <= len(lines) else ""


def words_for(problem: Problem, veil: Veil, describe: Callable[[str], str], text: Callable[[str], str]) -> str:
    """One problem as one sentence with its place. describe(path), text(path) -> content."""
    message = veil.problem(problem)
    if not problem.path:
        return message
    place = problem.path + (" line %d" % problem.line if problem.line else "")
    line = "" if problem.path in veil.paths else line_of(text(problem.path), problem.line)
    reads = " The line reads: " + veil.words_out(line) if line else ""
    end = "" if message.endswith((".", "?")) else "."
    return "%s (%s): %s%s%s" % (place, describe(problem.path), message, end, reads)


def command_problems(run: Run, command: str, tree: str, veil: Veil) -> list[Problem]:
    argv = [word.replace("{tree}", tree) for word in shlex.split(command)]
    status, out, err = run(argv)
    if status == 0:
        return []
    lines = [line for line in (err + "\n" + out).replace(tree, "").splitlines() if line.strip()]
    text = veil.output("\n".join(lines[:MOST_LINES])) or "no output"
    return [Problem("'%s' ended with exit status %d:\n%s" % (command.replace("{tree}", ""), status, text))]


class Staged(NamedTuple):
    """A configuration that is not installed yet."""

    tree: str  # the folder where it is
    files: dict[str, bytes]  # by path
    removed: set[str]  # paths that go
    secrets: list[str]  # paths of which nothing is shown
    describe: Callable[[str], str]  # describe(path) -> where a file comes from, in words
    live: Callable[[str], str]  # live(path) -> its place on this host

    def text(self, path: str) -> str:
        return self.files[path].decode("utf-8", "replace") if path in self.files else ""


def validate(staged: Staged, commands: Iterable[str], run: Run, find: Find, check_mode: bool = False) -> list[str]:
    """Returns warnings; raises ConfigError with everything that is wrong.  find(program) tells whether it is installed."""
    veil = Veil({path: staged.text(path) for path in staged.secrets if path in staged.files})
    found: list[str] = []
    warnings: list[str] = []
    for command in filter(str.strip, commands):
        program = "doveconf" if command == "dovecot" else shlex.split(command)[0]
        if not find(program):
            message = "%s is not installed on this host, so the configuration cannot be validated" % program
            if check_mode:
                # On a bare host the tasks before this one would have installed it.
                warnings.append(message + " in check mode")
                continue
            found.append(message + ". Install its package before this task.")
        elif command == "dovecot":
            check = Check(run, staged.tree, set(staged.files), staged.removed, staged.live)
            problems = check.problems()
            problems += _config_databases.problems(check, check_mode)
            warnings.extend(check.warnings)
            for problem in problems:
                words = words_for(problem, veil, staged.describe, staged.text)
                if problem.absent and check_mode:
                    words += " (in check mode: unless an earlier task of this run would bring it)"
                found.append(words)
        else:
            found.extend(problem.message for problem in command_problems(run, command, staged.tree, veil))
    if found:
        raise ConfigError(
            "; ".join(found) if len(found) == 1 else "\n" + "\n".join("- " + text for text in found), problems=found
        )
    return warnings
