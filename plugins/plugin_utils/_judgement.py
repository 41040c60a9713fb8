# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each variable of each host, read, judged by the specification of the roles that the host gets, and normalised.

Values that are the same object for many hosts are judged once.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.mailcluster.dovecot.plugins.plugin_utils import _databases, _meanings
from ansible_collections.mailcluster.dovecot.plugins.plugin_utils._normal import Wrong, normalised
from ansible_collections.mailcluster.dovecot.plugins.plugin_utils._reading import Reader, Unreadable
from ansible_collections.mailcluster.dovecot.plugins.plugin_utils._specification import Option, Specifications

# Follows from the topology, which is not there yet.
DERIVED_LATER = frozenset({"dovecot_service_address_preferred"})


class Judgement:
    """I(specs): role -> variable -> specification.  I(defaults): variable -> default of its role, which may be a template.

    C(values): host -> variable -> normalised value, for each variable of the host's roles.  C(changed): host -> those that
    roles would read otherwise.  C(unusable): variables without any value, of which nothing more can be said.  C(explicit):
    variables that somebody has set.
    """

    def __init__(self, reader: Reader, specs: Specifications, defaults: Mapping[str, Any]) -> None:
        self._reader, self._specs, self._defaults = reader, specs, defaults
        self._judged: dict[tuple[str, int], tuple[Any, list[Wrong], bool]] = {}
        self._kept: dict[int, Any] = {}
        self._options: dict[tuple[str, ...], tuple[dict[str, Option], dict[str, Any], list[str]]] = {}
        self.values: dict[str, dict[str, Any]] = {}
        self.changed: dict[str, dict[str, Any]] = {}
        self.unusable: set[str] = set()
        self.explicit: set[str] = set()
        self._found: dict[tuple[str, str, str], list[str]] = {}

    def host(self, name: str, roles: Iterable[str], variables: Mapping[str, Any], given: Collection[str]) -> None:
        """Judges a host. I(variables): all that templates may name.  I(given): names that somebody has set."""
        options, values, derived = self._of_roles(tuple(roles))
        values = dict(values)
        changed: dict[str, Any] = {}
        for variable in (*derived, *(variable for variable in options if variable in given)):
            try:
                value = self._reader.read(variable, variables)
            except Unreadable as error:
                readable = self._unreadable(name, variable, str(error), variables)
                if readable is not None:
                    values[variable] = readable
                continue
            normal, wrong, differs = self._judge(variable, options[variable], value)
            for what, words in wrong:
                self._note(variable, what, words, name)
            if normal is None and wrong:
                self.unusable.add(variable)
                continue
            if normal is None and variable in self._defaults:  # an empty key, where the default is a template
                normal = self._reader.read(variable, {**variables, variable: self._defaults[variable]})
            values[variable] = normal
            if differs and variable in given:
                changed[variable] = normal
        self.values[name], self.changed[name] = values, changed

    def problems(self) -> Iterator[str]:
        """Sentences, each with the hosts that it holds for, unless it holds for all that have the variable."""
        for (variable, what, words), names in self._found.items():
            yield sentence(variable, what, words, names, sum(variable in host for host in self.values.values()))

    def note(self, variable: str, what: str, words: str, name: str) -> None:
        self._note(variable, what, words, name)

    def _note(self, variable: str, what: str, words: str, name: str) -> None:
        names = self._found.setdefault((variable, what, words), [])
        if name not in names[-1:]:
            names.append(name)

    def _unreadable(self, name: str, variable: str, reason: str, variables: Mapping[str, Any]) -> Any:
        """Notes why, and gives what of a list can be read, of which there may be more to say."""
        if isinstance(variables[variable], (list, tuple)):
            items, reasons = self._reader.parts(variable, variables)
            for number, why in reasons:
                self._note(variable, f"item {number}", f"cannot be read: {why}", name)
            normal, wrong, _differs = self._judge(variable, self._options_of(variable), items)
            for what, words in wrong:
                self._note(variable, what, words, name)
            return normal
        self.unusable.add(variable)
        self._note(variable, "", f"cannot be read: {reason}", name)
        return None

    def _options_of(self, variable: str) -> Option:
        return next(options[variable] for options in self._specs.values() if variable in options)

    def _of_roles(self, roles: tuple[str, ...]) -> tuple[dict[str, Option], dict[str, Any], list[str]]:
        if roles not in self._options:
            options: dict[str, Option] = {}
            for role in roles:
                options.update(self._specs.get(role, {}))
            derived = [
                name
                for name in options
                if "default" not in options[name] and name in self._defaults and name not in DERIVED_LATER
            ]
            values = {name: option.get("default") for name, option in options.items()}
            self._options[roles] = options, values, derived
        return self._options[roles]

    def _judge(self, variable: str, spec: Option, value: Any) -> tuple[Any, list[Wrong], bool]:
        key = variable, id(value)
        if key not in self._judged:
            normal, wrong = normalised(variable, spec, value)
            if normal is not None and variable in _databases.NORMALISED:
                normal, more = _databases.NORMALISED[variable](normal)
                wrong = [*wrong, *more]
            if normal is not None:
                wrong = [*wrong, *_meanings.problems(variable, normal)]
            self._kept[id(value)] = value
            self._judged[key] = normal, wrong, not same(normal, value)
        return self._judged[key]


def sentence(variable: str, what: str, words: str, names: Sequence[str], total: int) -> str:
    of = "" if len(names) == total else f"of {some(names)} "
    return f"{variable}: {what}{' ' if what else ''}{of}{words}"


def some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} others" if len(names) > 3 else "")


def same(one: Any, other: Any) -> bool:
    """Whether both are written in the same way; true is not 1, nor is 1 the text '1'."""
    if isinstance(one, dict):
        return isinstance(other, dict) and one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)):
        return isinstance(other, (list, tuple)) and len(one) == len(other) and all(map(same, one, other))
    return isinstance(one, bool) == isinstance(other, bool) and isinstance(one, str) == isinstance(other, str) and one == other
