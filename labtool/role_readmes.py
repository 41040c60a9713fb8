"""Each role's README, from its argument specification: ``./lab run python -m labtool.role_readmes`` writes them again."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from labtool import paths

ROLES = paths.ROOT / "roles"
MARK = re.compile(r"\b[COVMRLEUB]\(([^()]+)\)")


def readme(role: Path) -> str:
    """What the README of a role shall be."""
    main = yaml.safe_load((role / "meta" / "argument_specs.yml").read_text())["argument_specs"]["main"]
    lines = [
        f"# mailcluster.dovecot.{role.name}",
        "",
        f"{_markdown(main['short_description'])}.",
        "",
        *[line for paragraph in _paragraphs(main.get("description", [])) for line in (_markdown(paragraph), "")],
        "The playbook `mailcluster.dovecot.site` gives each node the roles that it needs; the",
        "[README of the collection](../../README.md) tells how.",
        "",
        "## Variables",
        "",
        "| variable | type | default | |",
        "|---|---|---|---|",
        *_rows(main.get("options", {})),
        "",
        "Made from [meta/argument_specs.yml](meta/argument_specs.yml), by `./lab run python -m labtool.role_readmes`.",
    ]
    return "\n".join(lines) + "\n"


def _rows(options: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for name, option in options.items():
        kind = option.get("type", "str")
        if option.get("elements"):
            kind += f" of {option['elements']}"
        needed = "**required**" if option.get("required") else _default(option.get("default"))
        text = " ".join(_markdown(paragraph) for paragraph in _paragraphs(option.get("description", [])))
        if option.get("choices"):
            text += f" One of {', '.join(f'`{choice}`' for choice in option['choices'])}."
        yield f"| `{prefix}{name}` | {kind} | {needed} | {text.strip()} |"
        yield from _rows(option.get("options", {}), f"{prefix}{name}{'[]' if option.get('type') == 'list' else ''}.")


def _default(value: Any) -> str:
    if value is None:
        return ""
    text = yaml.safe_dump(value, default_flow_style=True, width=1000, sort_keys=False).removesuffix("\n...\n").strip()
    return f"`{text}`"


def _paragraphs(text: str | list[str]) -> list[str]:
    return [text] if isinstance(text, str) else text


def _markdown(text: str) -> str:
    """Of Ansible's own marks for code, options and modules."""
    return MARK.sub(lambda found: f"`{found[1].replace('|', chr(92) + '|')}`", " ".join(text.split())).replace("<", "&lt;")


def main() -> None:
    for role in sorted(ROLES.iterdir()):
        (role / "README.md").write_text(readme(role))


if __name__ == "__main__":
    main()
