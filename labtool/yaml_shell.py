"""The shell that is written in YAML: each script in a file of its own, for shellcheck to read."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from labtool import paths
from labtool.system import LabError

FOLDERS = ("playbooks", "roles", "labtool", "molecule")
MODULES = ("ansible.builtin.shell", "shell")
# Debian's /bin/sh, which runs a task without `executable`, knows what POSIX has and little more.
DEFAULT = "sh"
# The value of a Jinja expression, or of a placeholder like {tree}, in a script that is only read.
WORD = "word"


@dataclass(frozen=True)
class Script:
    dialect: str
    line: int  # of the YAML file, from 1, where its text begins
    text: str


def write(folder: Path) -> dict[str, list[str]]:
    """Write each script as FILE.yml.LINE, its lines at their numbers in the YAML file. Returns the names by dialect."""
    written: dict[str, list[str]] = {}
    for path in sorted(path for name in FOLDERS for path in (paths.ROOT / name).rglob("*.yml")):
        for script in scripts(path.read_text(), path):
            name = f"{path.relative_to(paths.ROOT)}.{script.line}"
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text("\n" * (script.line - 1) + script.text)
            written.setdefault(script.dialect, []).append(name)
    return written


def scripts(text: str, path: Path) -> Iterator[Script]:
    """The scripts of a file with playbooks or tasks: those of shell tasks, and what follows `sh -c` at the start of a command."""
    try:
        documents = list(yaml.compose_all(text, Loader=yaml.SafeLoader))
    except yaml.YAMLError as error:
        raise LabError(f"{path} is not YAML: {error}") from error
    for document in documents:
        if document is not None:
            yield from _below(document)


def _below(node: yaml.Node) -> Iterator[Script]:
    if isinstance(node, yaml.ScalarNode):
        yield from _after_c(node, _words(node.value))
    elif isinstance(node, yaml.SequenceNode):
        if all(isinstance(child, yaml.ScalarNode) for child in node.value):
            yield from _after_c(node, [_without_jinja(child.value) for child in node.value])
        for child in node.value:
            yield from _below(child)
    elif isinstance(node, yaml.MappingNode):
        values = _values(node)
        for name, value in values.items():
            if name in MODULES:
                yield from _of_task(value, values.get("args"))
            else:
                yield from _below(value)


def _of_task(value: yaml.Node, args: yaml.Node | None) -> Iterator[Script]:
    options = _values(args) | _values(value)
    script = options.get("cmd", value)
    if isinstance(script, yaml.ScalarNode):
        executable = options.get("executable")
        dialect = Path(str(executable.value)).name if executable is not None else DEFAULT
        yield Script(dialect, _first_line(script), _without_jinja(script.value))


def _values(node: yaml.Node | None) -> dict[str, yaml.Node]:
    return {str(key.value): value for key, value in node.value} if isinstance(node, yaml.MappingNode) else {}


def _words(command: str) -> list[str]:
    try:
        return shlex.split(_without_jinja(command))
    except ValueError:
        return []  # prose, with an apostrophe


def _after_c(node: yaml.Node, words: list[str]) -> Iterator[Script]:
    if len(words) > 2 and (dialect := Path(words[0]).name) in ("sh", "bash", "dash") and re.fullmatch(r"-[a-z]*c", words[1]):
        yield Script(dialect, _first_line(node), _without_placeholders(words[2]))


def _first_line(node: yaml.Node) -> int:
    """Where the text of a value begins: after the | or > of a block, if it is one."""
    return int(node.start_mark.line) + (2 if getattr(node, "style", None) in ("|", ">") else 1)


def _without_jinja(text: str) -> str:
    def lines_of(found: re.Match[str], instead: str) -> str:
        return instead + "\n" * found[0].count("\n")

    text = re.sub(r"\{\{.*?\}\}", lambda found: lines_of(found, WORD), text, flags=re.S)
    return re.sub(r"\{%.*?%\}|\{#.*?#\}", lambda found: lines_of(found, ""), text, flags=re.S)


def _without_placeholders(text: str) -> str:
    return re.sub(r"(?<!\$)\{[a-z_]+\}", WORD, text)
