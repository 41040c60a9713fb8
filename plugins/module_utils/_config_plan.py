# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a call of `config` has to do: pure functions from the wanted and the present files to a plan."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass, field

from ansible_collections.mailcluster.dovecot.plugins.module_utils._config_state import Entry, Manifest, OnDisk, digest

NOT_SHOWN = "(secret, not shown)\n"


@dataclass(slots=True, eq=False)
class Wanted:
    """A file as it shall be."""

    content: bytes = field(repr=False)  # may be a secret
    mode: int = 0o644
    owner: str = "root"
    group: str = "root"
    uid: int = 0
    gid: int = 0
    secret: bool = False
    unit: str = ""
    source: str = ""

    def on_disk(self) -> OnDisk:
        return OnDisk(self.content, self.mode, self.uid, self.gid)


@dataclass(slots=True, eq=False)
class Plan:
    """install, remove: sorted paths; foreign: those of them that are not ours yet; manifest: how it is afterwards."""

    install: list[str]
    remove: list[str]
    foreign: list[str]
    units: list[str]
    manifest: Manifest

    @property
    def changed(self) -> bool:
        return bool(self.install or self.remove)

    @property
    def touched(self) -> list[str]:
        return sorted(self.install + self.remove)


def obsolete(manifest: Manifest, wanted: Container[str], role: str, roles: Container[str] | None) -> list[str]:
    """Managed paths that nobody wants any more: this role does not list them, or the node has lost their role."""
    return sorted(
        path
        for path, entry in manifest.items()
        if path not in wanted and (entry["role"] == role or (roles is not None and entry["role"] not in roles))
    )


def plan(
    wanted: Mapping[str, Wanted],
    current: Mapping[str, OnDisk | None],
    manifest: Manifest,
    role: str,
    roles: Iterable[str] | None = None,
    partial: bool = False,
) -> Plan:
    """wanted: {path: Wanted}; current: {path: OnDisk or None} of all paths wanted or obsolete; partial: nothing is obsolete."""
    roles = None if roles is None else set(roles) | {role}
    gone = [] if partial else obsolete(manifest, wanted, role, roles)
    install = sorted(path for path, file in wanted.items() if current.get(path) != file.on_disk())
    remove = [path for path in gone if current.get(path) is not None]
    foreign = [path for path in install if path not in manifest and current.get(path) is not None]

    units: list[str] = []
    for path in install + remove:
        for unit in (wanted[path].unit if path in wanted else "", manifest.get(path, {}).get("unit", "")):
            if unit and unit not in units:
                units.append(unit)

    after = {path: entry for path, entry in manifest.items() if path not in gone}
    for path, file in wanted.items():
        known: Entry = manifest.get(path, {})
        after[path] = {
            "role": role,
            "unit": file.unit,
            "secret": file.secret,
            # A file that is not touched has not changed: spare the work on every unchanged run.
            "sha256": known["sha256"] if path not in install and "sha256" in known else digest(file.content),
        }
    return Plan(install, remove, foreign, units, after)


def text_of(content: bytes) -> str:
    return content.decode("utf-8", "replace")


def attributes(mode: int, owner: str, group: str) -> str:
    return "mode: %04o\nowner: %s\ngroup: %s\n" % (mode, owner, group)


def diff(
    the_plan: Plan,
    wanted: Mapping[str, Wanted],
    current: Mapping[str, OnDisk | None],
    manifest: Manifest,
    names: Callable[[int, int], tuple[str, str]],
) -> list[dict[str, str]]:
    """Ansible's list of before/after. `names(uid, gid)` gives the names of a file's present owner and group."""
    entries: list[dict[str, str]] = []
    for path in the_plan.touched:
        was, file = current.get(path), wanted.get(path)
        secret = file.secret if file else manifest[path].get("secret", True)
        secret = secret or manifest.get(path, {}).get("secret", False)
        before = after = ""
        if was is not None:
            before = "-> %s\n" % was.target if was.target is not None else NOT_SHOWN if secret else text_of(was.content)
        if file is not None:
            after = NOT_SHOWN if secret else text_of(file.content)
            if secret and was is not None and was.content != file.content:
                after = "(new secret, not shown)\n"
        before_name = path if was is not None else "/dev/null"
        after_name = path if file is not None else "/dev/null"
        if before != after:
            entries.append({"before_header": before_name, "after_header": after_name, "before": before, "after": after})
        if was is not None and file is not None and was.target is None:
            old = attributes(was.mode, *names(was.uid, was.gid))
            new = attributes(file.mode, file.owner, file.group)
            if old != new:
                name = "%s (attributes)" % path
                entries.append({"before_header": name, "after_header": name, "before": old, "after": new})
    return entries
