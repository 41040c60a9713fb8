# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Units and what they have to do for pending files: parsing and planning are pure, Systemd runs the commands."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Container, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import NotRequired, TypedDict

from ansible_collections.mailcluster.dovecot.plugins.module_utils._config_state import Before, ConfigError
from ansible_collections.mailcluster.dovecot.plugins.module_utils._types import Run

UNIT_DIR = "/etc/systemd/system"
PROPERTIES = "Id,LoadState,ActiveState,SubState,UnitFileState,Type,RemainAfterExit,Result,NRestarts"
MASKED = ("masked", "masked-runtime")
TCP_LISTEN = "0A"


class Unit(TypedDict):
    """A unit that the node needs, as it is given to the module."""

    name: str
    ports: list[int]
    services: dict[str, int | str]
    proxy_protocol_services: dict[str, int | str]
    address: str
    action: str
    started_by: NotRequired[str]


# --- what systemd prints


class State:
    """A unit as `systemctl show` has it."""

    def __init__(self, properties: dict[str, str]) -> None:
        self.properties = properties

    def __getattr__(self, name: str) -> str:
        return self.properties.get(name, "")

    @property
    def found(self) -> bool:
        return self.LoadState not in ("", "not-found")

    @property
    def masked(self) -> bool:
        return self.LoadState == "masked" or self.UnitFileState in MASKED

    @property
    def active(self) -> bool:
        return self.ActiveState in ("active", "reloading")

    @property
    def failed(self) -> bool:
        return self.ActiveState == "failed" or (self.oneshot and self.Result not in ("", "success"))

    @property
    def oneshot(self) -> bool:
        """Runs and ends: it is never active for long, and need not be."""
        return self.Type == "oneshot" and self.RemainAfterExit != "yes"

    @property
    def enabled(self) -> bool:
        return self.UnitFileState not in ("", "disabled")

    @property
    def restarts(self) -> int:
        return int(self.NRestarts) if self.NRestarts.isdigit() else 0


def parse_show(text: str, units: Sequence[str]) -> dict[str, State]:
    """`systemctl show -p ... A B` prints one block for each unit, in the order asked for -> {asked name: State}."""
    blocks = [block for block in re.split(r"\n\s*\n", text.strip()) if block.strip()]
    if len(blocks) != len(units):
        raise ConfigError("systemctl show printed %d units instead of %d: %s" % (len(blocks), len(units), text[:500]))
    states: dict[str, State] = {}
    for unit, block in zip(units, blocks):
        pairs = [line.partition("=") for line in block.splitlines() if "=" in line]
        states[unit] = State({name: value for name, dummy, value in pairs})
    return states


def listening(*tables: str) -> set[int]:
    """The local TCP ports in state LISTEN, from the text of /proc/net/tcp and /proc/net/tcp6.

    Reading the table instead of connecting wakes no service, and sees a port on whatever local address it is.
    """
    ports: set[int] = set()
    for table in tables:
        for line in table.splitlines()[1:]:
            fields = line.split()
            if len(fields) > 3 and fields[3] == TCP_LISTEN:
                ports.add(int(fields[1].rpartition(":")[2], 16))
    return ports


MASTER_TROUBLE = re.compile(r"\b(?:master|config): (?:Error|Fatal|Panic): (.*)")
RELOADING = "SIGHUP received - reloading configuration"


def reload_errors(log: str) -> list[str]:
    """What Dovecot's master complained of after a reload, from its log.

    A master that cannot use the new configuration goes on with the old one, in part, and the reload succeeds all the
    same; it would not start again with these files. Trouble with a single child is none of the configuration.
    """
    found: list[str] = []
    for line in log.splitlines():
        match = MASTER_TROUBLE.search(line)
        if match and " child " not in match.group(1) and match.group(1) not in found:
            found.append(match.group(1))
    return found


# --- what is to be done


def unit_of_path(path: str) -> str:
    """The unit whose definition this file is (a part of), or ''."""
    folder, name = posixpath.split(path)
    if folder == UNIT_DIR:
        return name
    if posixpath.dirname(folder) == UNIT_DIR and folder.endswith(".d"):
        return posixpath.basename(folder)[: -len(".d")]
    return ""


def unit_files(paths: Iterable[str]) -> list[str]:
    return [path for path in paths if path.startswith(UNIT_DIR + "/")]


class Preparation:
    """What comes before any unit: `stop` units that are gone, accounts, directories, systemd's own reload."""

    def __init__(self, files: Mapping[str, Before], present: Set[str], unneeded: Iterable[str] = ()) -> None:
        """files: pending {path: entry}; present: those of them that exist now; unneeded: units without files of ours."""
        undefined = {
            posixpath.basename(path)
            for path, entry in files.items()
            if posixpath.dirname(path) == UNIT_DIR and path not in present and entry["was"] != "absent"
        }
        self.stop = sorted(undefined | set(unneeded))
        self.sysusers = sorted(path for path in present if path.startswith("/etc/sysusers.d/"))
        self.tmpfiles = sorted(path for path in present if path.startswith("/etc/tmpfiles.d/"))
        self.daemon_reload = bool(unit_files(files))

    @property
    def needed(self) -> bool:
        return bool(self.stop or self.sysusers or self.tmpfiles or self.daemon_reload)


@dataclass(slots=True, eq=False)
class Work:
    """What the units have to do: lists of names, and the order in which they are to be handled."""

    order: list[str] = field(default_factory=list)
    enable: list[str] = field(default_factory=list)
    disable: list[str] = field(default_factory=list)
    start: list[str] = field(default_factory=list)
    reload: list[str] = field(default_factory=list)
    restart: list[str] = field(default_factory=list)

    @property
    def needed(self) -> bool:
        return bool(self.enable or self.disable or self.start or self.reload or self.restart)

    def steps(self) -> list[tuple[str, str]]:
        """(verb of systemctl, unit), in order."""
        verbs = (("restart", self.restart), ("reload-or-restart", self.reload), ("start", self.start))
        return [(verb, name) for name in self.order for verb, names in verbs if name in names]


def refuse_unusable(units: Iterable[Unit], states: Mapping[str, State], expected: Container[str]) -> None:
    """Masked and missing units cannot be handled. expected: units whose file is pending, or all in check mode."""
    for unit in units:
        state = states[unit["name"]]
        if state.masked:
            raise ConfigError(
                "the unit %s is masked on this host, so it cannot be started. Somebody has done this on purpose: "
                "'systemctl unmask %s', or take the node out of the group that needs it." % (unit["name"], unit["name"]),
                unit=unit["name"],
            )
        if not state.found and unit["name"] not in expected:
            raise ConfigError(
                "there is no unit %s on this host. Is the package that brings it installed?" % unit["name"], unit=unit["name"]
            )


def work(
    units: Iterable[Unit],
    states: Mapping[str, State],
    pending_units: Sequence[str],
    files: Iterable[str],
    gone: Container[str] = (),
) -> Work:
    """units: as listed by the user; pending_units: those that have to pick files up; files: those that they take up."""
    redefined = {unit_of_path(path) for path in files}
    listed = {unit["name"]: unit for unit in units}
    others = [name for name in pending_units if name not in listed and name not in gone]
    # Units that are only mentioned by files (nftables, sysctl) first: the services may need what they set up.
    todo = Work(others + list(listed))
    for name in todo.order:
        state = states[name]
        picks_up = name in pending_units
        told_to = name in listed and listed[name]["action"] == "restart"
        restart = told_to or name in redefined or state.oneshot
        started_by = listed[name].get("started_by", "systemd") if name in listed else ""
        if started_by == "cluster":
            if state.found and state.enabled:
                todo.disable.append(name)
        elif name in listed and state.found and not state.enabled and state.UnitFileState:
            todo.enable.append(name)
        elif name in listed and not state.found:
            todo.enable.append(name)
        if state.active:
            if picks_up or (name in redefined and name in listed):
                (todo.restart if restart else todo.reload).append(name)
        elif started_by == "systemd":
            if not state.oneshot:
                todo.start.append(name)
            elif picks_up:
                todo.restart.append(name)
    return todo


class Systemd:
    """Runs the commands; a failure is a ConfigError with what systemd said."""

    def __init__(self, run: Run) -> None:
        self.run = run

    def call(self, *argv: str) -> str:
        status, out, err = self.run(list(argv), environ_update={"SYSTEMD_COLORS": "0"})
        if status != 0:
            said = (err.strip() or out.strip() or "exit status %d" % status).splitlines()
            words = " ".join(line.strip() for line in said[:5]).rstrip(".")
            raise ConfigError("'%s' failed: %s" % (" ".join(argv), words))
        return out

    def show(self, units: Sequence[str]) -> dict[str, State]:
        if not units:
            return {}
        return parse_show(self.call("systemctl", "show", "--no-pager", "-p", PROPERTIES, *units), units)

    def tell(self, verb: str, *units: str) -> str:
        return self.call("systemctl", verb, *units)

    def cursor(self, unit: str) -> str:
        """The present end of a unit's journal, '' if there is none."""
        dummy, out, dummy2 = self.run(["journalctl", "-u", unit, "-n", "0", "--show-cursor", "--no-pager"])
        found = re.search(r"^-- cursor: (\S+)$", out, re.MULTILINE)
        return found.group(1) if found else ""

    def journal_since(self, unit: str, cursor: str) -> str:
        argv = ["journalctl", "-u", unit, "-o", "cat", "--no-pager"]
        dummy, out, dummy2 = self.run(argv + (["--after-cursor=" + cursor] if cursor else ["-n", "50"]))
        return out

    def journal(self, unit: str, lines: int = 20) -> list[str]:
        status, out, dummy = self.run(["journalctl", "-u", unit, "-n", str(lines), "--no-pager"])
        return [line for line in out.splitlines() if line.strip()] if status == 0 else []
