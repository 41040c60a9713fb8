"""Each role's README, from its argument specification: ``./lab run python -m labtool.role_readmes`` writes them again."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from labtool import paths

ROLES = paths.ROOT / "roles"
# Roles that can be used in a play of your own: its hosts, and all roles that a new node there needs.
ALONE = {
    "backend": ("dovecot_backends", ["backend"]),
    "replication": ("dovecot_replicated", ["backend", "replication"]),
    "shared_storage": ("dovecot_shared_storage", ["backend", "shared_storage"]),
    "director": ("dovecot_directors", ["director"]),
    "loadbalancer": ("dovecot_loadbalancers", ["service_address", "loadbalancer"]),
    "service_address": ("dovecot_loadbalancers", ["service_address", "loadbalancer"]),
    "nfs_server": ("dovecot_nfs_servers", ["nfs_server"]),
}
MARK = re.compile(r"\b[COVMRLEUB]\(([^()]+)\)")


def readme(role: Path) -> str:
    """The text of a role's README."""
    main = _specification(role)
    lines = [
        f"# mailcluster.dovecot.{role.name}",
        "",
        f"{_markdown(main['short_description'])}.",
        "",
        *[line for paragraph in _paragraphs(main.get("description", [])) for line in (_markdown(paragraph), "")],
        "The playbook `mailcluster.dovecot.site` gives each node the roles that it needs; the",
        "[README of the collection](../../README.md) tells how.",
        "",
        *_alone(role.name),
        "## Variables",
        "",
        "| variable | type | default | |",
        "|---|---|---|---|",
        *_rows(main.get("options", {})),
        "",
        *_shared(role),
        "Made from [meta/argument_specs.yml](meta/argument_specs.yml), by `./lab run python -m labtool.role_readmes`.",
    ]
    return "\n".join(lines) + "\n"


def _specification(role: Path) -> dict[str, Any]:
    main: dict[str, Any] = yaml.safe_load((role / "meta" / "argument_specs.yml").read_text())["argument_specs"]["main"]
    return main


def _alone(name: str) -> list[str]:
    """How to use it in a play of your own."""
    if name not in ALONE:
        return []
    hosts, roles = ALONE[name]
    return [
        "In a play of your own, the role first has the inventory checked (once per run), and configures what it builds on. The",
        "role `service` comes last, and applies what the others have installed; their order does not matter:",
        "",
        "```yaml",
        f"- hosts: {hosts}",
        "  gather_facts: false",
        "  roles:",
        *[f"    - mailcluster.dovecot.{role}" for role in (*roles, "service")],
        "```",
        "",
    ]


def _shared(role: Path) -> list[str]:
    """The variables of the role cluster that it reads."""
    if role.name == "cluster":
        return []
    text = "\n".join(path.read_text() for folder in ("tasks", "templates", "defaults") for path in (role / folder).glob("*"))
    shared = [name for name in _specification(ROLES / "cluster")["options"] if re.search(rf"(?<![\w.]){name}\b", text)]
    if not shared:
        return []
    return [f"It also reads {', '.join(f'`{name}`' for name in shared)} of the role [cluster](../cluster/README.md).", ""]


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
    """Turn Ansible's markup for code, options and modules into Markdown."""
    return MARK.sub(lambda found: f"`{found[1].replace('|', chr(92) + '|')}`", " ".join(text.split())).replace("<", "&lt;")


def main() -> None:
    for path in sorted(ROLES.glob("*/meta/argument_specs.yml")):
        role = path.parents[1]
        (role / "README.md").write_text(readme(role))


if __name__ == "__main__":
    main()
