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
from ansible_collections.mailcluster.dovecot.plugins.plugin_utils._words import some

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
            normal, usable, differs = self._read(name, variable, options[variable], variables)
            if usable:
                values[variable] = normal
            if differs and variable in given:
                changed[variable] = normal
        self.values[name], self.changed[name] = values, changed

    def of_another_role(self, name: str, variable: str, variables: Mapping[str, Any]) -> Any:
        """The value of a variable that a host has without having its role; None if it has none."""
        return self._read(name, variable, self._options_of(variable), variables)[0] if variable in variables else None

    def _read(self, name: str, variable: str, spec: Option, variables: Mapping[str, Any]) -> tuple[Any, bool, bool]:
        """The normalised value, whether it can be used, and whether roles would read it otherwise."""
        try:
            value = self._reader.read(variable, variables)
        except Unreadable as error:
            readable = self._unreadable(name, variable, str(error), variables)
            return readable, readable is not None, False
        normal, wrong, differs = self._judge(variable, spec, value)
        for what, words in wrong:
            self.note(variable, what, words, name)
        if normal is None and wrong:
            self.unusable.add(variable)
            return None, False, False
        default = self._defaults.get(variable)
        if normal is None and variable in DERIVED_LATER:
            self.unusable.add(variable)
            self.note(variable, "", "is empty: give it a value, or remove it for its default", name)
            return None, False, False
        if normal is None and default is not None and variables[variable] is not default:  # an empty key
            normal, usable, _differs = self._read(name, variable, spec, {**variables, variable: default})
            return normal, usable, usable
        return normal, True, differs

    def problems(self) -> Iterator[str]:
        """Sentences, each with the hosts that it holds for, unless it holds for all that have the variable."""
        for (variable, what, words), names in self._found.items():
            yield sentence(variable, what, words, names, sum(variable in host for host in self.values.values()))

    def note(self, variable: str, what: str, words: str, name: str) -> None:
        names = self._found.setdefault((variable, what, words), [])
        if name not in names[-1:]:
            names.append(name)

    def _unreadable(self, name: str, variable: str, reason: str, variables: Mapping[str, Any]) -> Any:
        """Notes why, and gives what of a list can be read, of which there may be more to say."""
        if isinstance(variables[variable], (list, tuple)):
            items, reasons = self._reader.parts(variable, variables)
            for number, why in reasons:
                self.note(variable, f"item {number}", f"cannot be read: {why}", name)
            normal, wrong, _differs = self._judge(variable, self._options_of(variable), items)
            for what, words in wrong:
                self.note(variable, what, words, name)
            return normal
        self.unusable.add(variable)
        self.note(variable, "", f"cannot be read: {reason}", name)
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


def same(one: Any, other: Any) -> bool:
    """Whether both are written in the same way; true is not 1, nor is 1 the text '1'."""
    if isinstance(one, dict):
        return isinstance(other, dict) and one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)):
        return isinstance(other, (list, tuple)) and len(one) == len(other) and all(map(same, one, other))
    return isinstance(one, bool) == isinstance(other, bool) and isinstance(one, str) == isinstance(other, str) and one == other
