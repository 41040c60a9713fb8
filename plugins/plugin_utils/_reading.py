# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads the variables of many hosts on the controller, each text once.

Most hosts of a group have the same value, often from the same file.  What has no template in it is the same for all; what
has one is rendered once for all hosts for whom the variables that it names are the same.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
TEMPLATE = re.compile(r"\{\{|\{%|\{#")
# Through these a template can reach what no other word of it names.
ANYTHING = frozenset({"vars", "varnames", "hostvars", "q", "query", "environment"})
# What a value depends on; none, if that cannot be told.
Key = tuple[Any, ...] | None
PLAIN = (str, int, float, bool, type(None))


class Unreadable(Exception):
    """Why a variable has no value, in words for the user."""


class Reader:
    """I(render): a function of text or structure and variables, which raises when it cannot."""

    def __init__(self, render: Callable[[Any, Mapping[str, Any]], Any], explain: Callable[[Exception], str] = str) -> None:
        self._render, self._explain = render, explain
        self._values: dict[Key, Any] = {}
        self._words: dict[int, frozenset[str]] = {}
        self._kept: dict[int, Any] = {}

    def read(self, name: str, variables: Mapping[str, Any]) -> Any:
        """The value of the variable I(name) among I(variables) of a host."""
        raw = variables[name]
        key = self._key(name, raw, variables)
        if key not in self._values:
            self._kept[id(raw)] = raw  # so that its id stays its own
            try:
                value = self._rendered(raw, variables)
            except Exception as error:  # whatever a filter or a lookup of the inventory raises
                value = Unreadable(self._explain(error))
            if key is None:
                return _value(value)
            self._values[key] = value
        return _value(self._values[key])

    def parts(self, name: str, variables: Mapping[str, Any]) -> tuple[list[Any], list[tuple[int, str]]]:
        """What of a list can be read: its items, and the reasons why others cannot."""
        found: list[Any] = []
        reasons: list[tuple[int, str]] = []
        for number, item in enumerate(variables[name], 1):
            try:
                found.append(self._rendered(item, variables))
            except Exception as error:
                reasons.append((number, self._explain(error)))
        return found, reasons

    def _rendered(self, raw: Any, variables: Mapping[str, Any]) -> Any:
        """The value. A number that Python does not write, because it has thousands of digits, is none."""
        value = self._render(raw, variables)
        repr(value)
        return value

    def words(self, raw: Any) -> frozenset[str]:
        """All words within templates of I(raw), which may be the names of variables."""
        key = id(raw)
        if key not in self._words:
            self._kept[key] = raw
            self._words[key] = frozenset(word for text in texts(raw) if TEMPLATE.search(text) for word in WORD.findall(text))
        return self._words[key]

    def _key(self, name: str, raw: Any, variables: Mapping[str, Any]) -> Key:
        words = self.words(raw)
        if not words:
            return name, id(raw)
        needed: dict[str, Any] = {}
        waiting = list(words)
        while waiting:
            word = waiting.pop()
            if word in ANYTHING and word != name:
                return None
            if word in needed or word not in variables:
                continue
            value = variables[word]
            self._kept[id(value)] = value
            needed[word] = value if isinstance(value, PLAIN) else id(value)
            waiting += self.words(value) if not word.startswith(("groups", "ansible_facts")) else ()
        return name, id(raw), frozenset(needed.items())


def _value(found: Any) -> Any:
    if isinstance(found, Unreadable):
        raise found
    return found


def texts(raw: Any) -> Iterator[str]:
    """All texts within I(raw), keys of mappings too."""
    waiting = [raw]
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict):
            waiting += [*value.keys(), *value.values()]
        elif isinstance(value, (list, tuple)):
            waiting += value
