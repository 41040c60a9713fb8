# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A variable's value as its specification wants it, whatever YAML, INI or -e made of what was written.

C(normalised) gives the value, and what is wrong with it as (what, words) pairs: I(what) is the value, or the item that is
meant, as it may be shown.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.mailcluster.dovecot.plugins.plugin_utils._services import PORTS, how_to_leave_out
from ansible_collections.mailcluster.dovecot.plugins.plugin_utils._specification import SECRET, Option, did_you_mean
from ansible_collections.mailcluster.dovecot.plugins.plugin_utils._words import type_of

# (what, words)
Wrong = tuple[str, str]

WANTED = {
    "str": "no text: write it in quotes",
    "path": "no path: write it as /srv/mail",
    "bool": "neither true nor false: write one of them",
    "int": "no whole number: write digits only",
    "float": "no number: write it as 1.5",
}
# Not what Python takes beside that: signs of other alphabets, exponents that fill the memory, more digits than it reads.
WHOLE = re.compile(r"[0-9]{1,18}\Z")
INTEGER = re.compile(r"\s*[+-]?[0-9]{1,18}(\.0+)?\s*\Z")
PLURAL = {"list": "is no list: write one a line, each after '- '", "dict": "no mapping: write NAME: VALUE, one a line"}


def normalised(variable: str, spec: Option, value: Any) -> tuple[Any, list[Wrong]]:
    """The value, its default where it is empty; and what is wrong."""
    kind = spec.get("type", "str")
    if value is None:
        return spec.get("default"), []
    if kind == "list":
        return _list(variable, spec, value)
    if kind == "dict":
        return _dict(variable, spec, value)
    return _one(variable, spec, kind, value)


def shown(variable: str, value: object) -> str:
    """I(value) in a message."""
    if variable in SECRET:
        return "(value not shown)"
    text = str(value)
    return "'%s'" % (text if len(text) <= 60 else text[:57] + "...")


def whole(value: object) -> int | None:
    """The number that I(value) is in digits, or None."""
    text = str(value)
    return int(text) if WHOLE.match(text) else None


def _one(variable: str, spec: Option, kind: str, value: Any) -> tuple[Any, list[Wrong]]:
    choices = spec.get("choices")
    if not _plausible(kind, value, choices) or (variable in SECRET and not isinstance(value, str)):
        return None, [(shown(variable, value), _words(kind, value))]
    found, error = _validated(variable, spec, value)
    if error and choices:
        like = did_you_mean(value, choices)
        return None, [(shown(variable, value), f"is unknown: set it to {' or '.join(choices)}" + (f"; {like}" if like else ""))]
    if error or (kind == "float" and not math.isfinite(found)):
        return None, [(shown(variable, value), _words(kind, value))]
    return found, []


def _words(kind: str, value: object) -> str:
    if isinstance(value, (list, tuple)):
        return f"is a list, {WANTED[kind]}"
    if isinstance(value, dict):
        return f"is a mapping, {WANTED[kind]}"
    if kind in ("str", "path") and isinstance(value, (int, float)):
        made = "true or false" if isinstance(value, bool) else "a number"
        return f"is {made} to YAML, and cannot be known as it was written: write it in quotes"
    return f"is {WANTED[kind]}"


def _plausible(kind: str, value: object, choices: Iterable[str] | None) -> bool:
    """What Ansible's validator would make something of that nobody meant."""
    if isinstance(value, bool):
        return kind == "bool" or bool(choices and {"yes", "no"} & set(choices))
    if kind == "int":
        return isinstance(value, int) or (isinstance(value, str) and bool(INTEGER.match(value)))
    if kind == "float":
        return isinstance(value, (str, int, float))
    return isinstance(value, (str, int, float))


def _validated(variable: str, spec: Option, value: Any) -> tuple[Any, bool]:
    validator = ArgumentSpecValidator({variable: {"type": spec.get("type", "str"), "choices": spec.get("choices")}})
    try:
        result = validator.validate({variable: value})
    except OverflowError:  # a number that no float can be
        return None, True
    return result.validated_parameters.get(variable), bool(result.error_messages)


def _list(variable: str, spec: Option, value: Any) -> tuple[Any, list[Wrong]]:
    if not isinstance(value, (list, tuple)):
        if isinstance(value, dict):
            return None, [("", f"is a dict, no list: write one an item, each after '- '{_item(spec)}")]
        return None, [(shown(variable, value), f"is no list: write one an item, each after '- '{_item(spec)}")]
    found: list[Any] = []
    wrong: list[Wrong] = []
    for number, item in enumerate(value, 1):
        if "options" in spec:
            kept, problems = _options(variable, spec["options"], item)
        elif spec.get("elements") == "dict":
            kept, problems = (item, []) if isinstance(item, dict) else (None, [_no_mapping(item)])
        elif item is None:
            kept, problems = None, [("", "is empty: remove it")]
        else:
            kept, problems = _one(variable, {"type": spec.get("elements", "str")}, spec.get("elements", "str"), item)
        wrong += [(f"item {number}{_called(item)}{' ' if what else ''}{what}", words) for what, words in problems]
        if not problems or isinstance(kept, dict):
            found.append(kept)
    return found, wrong


def _item(spec: Option) -> str:
    needed = [name for name, option in spec.get("options", {}).items() if option.get("required")]
    return f", with {' and '.join(needed)}" if needed else ""


def _called(item: object) -> str:
    name = item.get("name") if isinstance(item, dict) else None
    return f" ({name})" if isinstance(name, (str, int)) and name != "" else ""


def _no_mapping(item: object) -> Wrong:
    shape = f"'{item}' " if isinstance(item, (str, int)) else "is empty, and " if item is None else ""
    return "", f"{shape}{'' if item is None else 'is '}no mapping: write NAME: VALUE, one a line"


def _options(variable: str, options: Mapping[str, Option], item: Any) -> tuple[Any, list[Wrong]]:
    """An item of a list of mappings: what of it is right, without what was left empty."""
    if not isinstance(item, dict):
        return None, [_no_mapping(item)]
    found: dict[str, Any] = {}
    wrong: list[Wrong] = []
    for key in item:
        if key not in options:
            like = did_you_mean(key, options)
            wrong.append((f"has '{key}'", f"which is unknown: {like or 'use ' + ', '.join(options)}"))
    for key, option in options.items():
        value = item.get(key)
        if value is None:
            if key in item and not option.get("required"):
                wrong.append((f"has an empty {key}", "give it a value, or leave it out"))
            continue
        kept, problems = _one(key, option, option.get("type", "str"), value)
        text = "(not shown)" if key == "password" else f"'{value}'"
        wrong += [(f"has the {key} {text}", f"which {words}") for _what, words in problems]
        if not problems:
            found[key] = kept
    return found, wrong


def _dict(variable: str, spec: Option, value: Any) -> tuple[Any, list[Wrong]]:
    if not isinstance(value, dict):
        return None, [("", f"is a {type_of(value)}, {PLURAL['dict']}")]
    default = spec.get("default")
    if not default:
        return dict(value), []
    found: dict[str, Any] = dict(default)
    wrong: list[Wrong] = []
    for key, given in value.items():
        if key not in default:
            like = did_you_mean(key, default)
            wrong.append((f"has '{key}'", f"which is unknown: {like or 'use ' + ', '.join(default)}"))
        elif given is not None and isinstance(default[key], int):
            number, problems = _one(variable, {"type": "int"}, "int", given)
            wrong += [(f"{key} {what}", words + _meant(variable, key, given)) for what, words in problems]
            found[key] = default[key] if problems else number
        elif given is not None:
            found[key] = given
        else:
            instead = _meant(variable, key, given)
            wrong.append((f"has an empty {key}", f"give it a value, or leave it out for its default{instead}"))
    return found, wrong


def _meant(variable: str, key: str, given: object) -> str:
    """What to do instead, for whoever has written it to be without a service."""
    return how_to_leave_out(key) if variable in PORTS and not given else ""
