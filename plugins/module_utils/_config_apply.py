# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Brings what `config` has installed into force, tries it as clients would, and goes back when it does not serve."""

from __future__ import annotations

import os
import time
from typing import NamedTuple, TypedDict

from ansible_collections.mailcluster.dovecot.plugins.module_utils._config_state import ConfigError, Pending, Store
from ansible_collections.mailcluster.dovecot.plugins.module_utils._config_units import (
    RELOADING,
    UNIT_DIR,
    Preparation,
    State,
    Systemd,
    Unit,
    Work,
    listening,
    refuse_unusable,
    reload_errors,
    unit_files,
    work,
)
from ansible_collections.mailcluster.dovecot.plugins.module_utils._director_client import Director
from ansible_collections.mailcluster.dovecot.plugins.module_utils._doveadm import Doveadm, DoveadmError, NotRunning, limited
from ansible_collections.mailcluster.dovecot.plugins.module_utils._trial import SERVICES, Trial, failures
from ansible_collections.mailcluster.dovecot.plugins.module_utils._types import Clock, Result, Run, Sleep

DOVECOT = "dovecot.service"
POLL = 0.1
RING_POLL = 0.2
# Login processes that could not connect to a director again try again after ten seconds.
REACH = 12
# A unit that dies right after its start looks well for a moment: it has to look well twice, this far apart.
SETTLE = 0.4
RELOAD_SEEN = 2
# A client waits for its greeting for so long, and tries again after so long.
TRIAL = 10
TRIAL_POLL = 0.5
# What is wrong for so long stays so: until the files are back, clients see it too.
WRONG = 5


class UnitFailure(ConfigError):
    """A unit did not come up with the new files. unit: which one."""

    def __init__(self, message: str, unit: str) -> None:
        super().__init__(message)
        self.unit = unit


class Params(TypedDict):
    units: list[Unit]
    ring: bool
    timeout: int
    state_dir: str


class Watched(NamedTuple):
    """A unit with all ports on which it must listen, and with the trials of those that serve clients."""

    name: str
    ports: list[int]
    trials: list[Trial]


class Complaint(NamedTuple):
    """What is not right yet with a unit, in words; final: waiting is of no use."""

    unit: str
    words: str
    final: bool


def with_trials(unit: Unit) -> Watched:
    trials = []
    by_option = {"services": unit["services"], "proxy_protocol_services": unit["proxy_protocol_services"]}
    for option, services in by_option.items():
        for service, port in services.items():
            if service not in SERVICES:
                raise ConfigError(
                    "units: %s of %s has '%s', which is no service: give some of %s"
                    % (option, unit["name"], service, ", ".join(SERVICES))
                )
            trials.append(Trial(unit["name"], unit["address"], int(port), service, option != "services"))
    return Watched(unit["name"], unit["ports"] + [trial.port for trial in trials], trials)


class DovecotLog:
    """What Dovecot logs from now on, in the journal or in its own file."""

    def __init__(self, systemd: Systemd, store: Store) -> None:
        self.systemd = systemd
        self.cursor = systemd.cursor(DOVECOT)
        dummy, out, dummy2 = systemd.run(["doveconf", "-h", "log_path"])
        path = out.strip()
        self.path = store.live(path) if path.startswith("/") and not path.startswith("/dev/") else None
        self.start = self.size()

    def size(self) -> int:
        try:
            return os.path.getsize(self.path) if self.path else 0
        except OSError:
            return 0

    def read(self) -> str:
        if not self.path:
            return self.systemd.journal_since(DOVECOT, self.cursor)
        try:
            with open(self.path, "rb") as stream:
                stream.seek(self.start if self.size() >= self.start else 0)
                return stream.read().decode("utf-8", "replace")
        except OSError:
            return ""


class Apply:
    """One call of the module. `root`, `clock` and `sleep` are for tests."""

    def __init__(
        self,
        params: Params,
        run: Run,
        check_mode: bool = False,
        root: str = "",
        clock: Clock = time.monotonic,
        sleep: Sleep = time.sleep,
    ) -> None:
        self.units = params["units"]
        self.watched = [with_trials(unit) for unit in self.units]
        self.ring = params["ring"]
        self.timeout = params["timeout"]
        self.check_mode = check_mode
        self.store = Store(params["state_dir"], root)
        self.run = run
        self.systemd = Systemd(run)
        self.clock = clock
        self.sleep = sleep
        self.stopped: list[str] = []
        self.disabled: list[str] = []
        self.done = Work()
        self.was: dict[str, State] = {}
        self.was_listening: set[int] = set()
        self.log: DovecotLog | None = None

    def result(self, todo: Work, stopped: list[str], changed: bool, rolled_back: bool = False) -> Result:
        return {
            "changed": changed,
            "reloaded": todo.reload,
            "restarted": todo.restart,
            "started": todo.start,
            "enabled": todo.enable,
            "disabled": todo.disable,
            "stopped": stopped,
            "rolled_back": rolled_back,
        }

    def __call__(self) -> Result:
        self.store.lock()
        try:
            return self.apply()
        finally:
            self.store.unlock()

    def apply(self) -> Result:
        pending: Pending = self.store.pending() or {"files": {}, "units": []}
        files = pending["files"]
        names = [unit["name"] for unit in self.units]
        names += [name for name in pending["units"] if name not in names]
        present = {path for path in files if os.path.lexists(self.store.live(path))}
        preparation = Preparation(files, present, self.unneeded(pending, present))
        self.was = self.systemd.show(names + [name for name in preparation.stop if name not in names])
        coming = {os.path.basename(path) for path in unit_files(files)}
        refuse_unusable(self.units, self.was, set(names) if self.check_mode else coming)
        taken_up = self.taken_up(pending)
        todo = work(self.units, self.was, pending["units"], taken_up, preparation.stop)
        changed = todo.needed or preparation.needed
        if self.check_mode:
            return self.result(todo, preparation.stop, changed)
        if changed:
            self.was_listening = self.listening()
            in_ring = self.ring_before(todo)
            if files or pending["units"]:
                self.store.save_pending({**pending, "applying": True})
            try:
                self.prepare(preparation)
                if preparation.needed:
                    todo = work(self.units, self.systemd.show(names), pending["units"], taken_up, preparation.stop)
                self.handle(todo)
                self.wait(todo)
            except ConfigError as error:
                raise self.failure(error, bool(files)) from None
            if in_ring:
                self.ring_after()
        if files or pending["units"]:
            self.store.clear()
        return self.result(todo, self.stopped, changed)

    def taken_up(self, pending: Pending) -> list[str]:
        """The pending files without those that no unit has to pick up, whatever they define."""
        managed = {**pending.get("manifest", {}), **self.store.manifest()}
        return [path for path in pending["files"] if managed.get(path, {}).get("unit") != ""]

    def unneeded(self, pending: Pending, present: set[str]) -> list[str]:
        """Units that had to pick up files of ours, and of which no file is left: the node has lost the role."""
        if present == set(pending["files"]):
            return []
        needed = {entry["unit"] for entry in self.store.manifest().values()} | {unit["name"] for unit in self.units}
        return [name for name in pending["units"] if name not in needed]

    # --- forwards

    def prepare(self, preparation: Preparation) -> None:
        for name in preparation.stop:
            links = self.wants(name)
            if self.was[name].active or links:
                self.stopped.append(name)
            if self.was[name].active:
                self.systemd.tell("stop", name)
            if links:
                self.disabled.append(name)
            for link in links:
                os.unlink(link)
        if preparation.sysusers:
            self.systemd.call("systemd-sysusers", *preparation.sysusers)
        if preparation.tmpfiles:
            self.systemd.call("systemd-tmpfiles", "--create", *preparation.tmpfiles)
        if preparation.daemon_reload:
            self.systemd.tell("daemon-reload")

    def wants(self, name: str) -> list[str]:
        """The links that enable a unit. `systemctl disable` refuses to remove them once the unit's file is gone."""
        folder = self.store.live(UNIT_DIR)
        return [
            os.path.join(folder, entry, name)
            for entry in sorted(os.listdir(folder) if os.path.isdir(folder) else [])
            if entry.endswith((".wants", ".requires")) and os.path.islink(os.path.join(folder, entry, name))
        ]

    def handle(self, todo: Work) -> None:
        self.done = Work()
        if todo.enable:
            self.done.enable = todo.enable
            self.systemd.tell("enable", *todo.enable)
        if todo.disable:
            self.systemd.tell("disable", *todo.disable)
        if DOVECOT in todo.reload:
            self.log = DovecotLog(self.systemd, self.store)
        records = {"restart": self.done.restart, "reload-or-restart": self.done.reload, "start": self.done.start}
        for verb, name in todo.steps():
            records[verb].append(name)
            self.tell(verb, name)

    def tell(self, verb: str, name: str) -> None:
        if self.was.get(name) is not None and self.was[name].failed:
            # Else a unit that has failed too often may not be started.
            self.systemd.tell("reset-failed", name)
        try:
            self.systemd.tell(verb, name)
        except ConfigError as error:
            raise UnitFailure(error.message, name) from None

    def wait(self, todo: Work) -> None:
        """Until every unit is active and stays so, listens on its ports, and serves clients there."""
        touched = todo.restart + todo.reload + todo.start
        if not touched:
            return
        watched = [unit for unit in self.watched if unit.name in touched]
        others = [name for name in touched if name not in [unit.name for unit in watched]]
        watched += [Watched(name, [], []) for name in others]
        end = self.clock() + self.timeout
        # Only then is the reload under way; if its log level hides that, go on all the same.
        seen_by = self.clock() + RELOAD_SEEN
        good_since: float | None = None
        restarts: dict[str, int] | None = None
        while True:
            states = self.systemd.show([unit.name for unit in watched])
            complaint = self.complaint(watched, states)
            now = {name: state.restarts for name, state in states.items()}
            if restarts is not None and now != restarts:
                name = next(name for name in now if now[name] != restarts[name])
                raise UnitFailure("%s starts again and again" % name, name)
            restarts = now
            if complaint is None and self.log is not None and self.clock() < seen_by and RELOADING not in self.log.read():
                good_since = None
            elif complaint is None:
                good_since = self.clock() if good_since is None else good_since
                if self.clock() - good_since >= SETTLE:
                    self.read_log()
                    return self.try_services([trial for unit in watched for trial in unit.trials], end)
            else:
                good_since = None
                name, words, final = complaint
                if final or self.clock() >= end:
                    raise UnitFailure(words if final else "%s within %d s" % (words, self.timeout), name)
            self.sleep(POLL)

    def read_log(self) -> None:
        troubles = reload_errors(self.log.read()) if self.log is not None else []
        if troubles:
            raise UnitFailure(
                "%s did not accept the new configuration when it was reloaded: %s" % (DOVECOT, "; ".join(troubles)), DOVECOT
            )

    def try_services(self, trials: list[Trial], end: float) -> None:
        """As clients would, until each has been served once."""
        wrong_since: float | None = None
        while trials:
            found = failures(trials, min(TRIAL, max(1, end - self.clock())))
            now = self.clock()
            if all(failure.slow for failure in found):
                wrong_since = None
            elif wrong_since is None:
                wrong_since = now
            if found and (now >= end or (wrong_since is not None and now - wrong_since >= WRONG)):
                name = found[0].trial.unit
                raise UnitFailure(
                    "%s does not serve clients at %s: %s"
                    % (name, found[0].trial.address, "; ".join(str(failure) for failure in found)),
                    name,
                )
            trials = [failure.trial for failure in found]
            if trials:
                self.sleep(TRIAL_POLL)

    def complaint(self, units: list[Watched], states: dict[str, State]) -> Complaint | None:
        """The first thing that is not right yet, or None."""
        ports = None
        for name, expected, _trials in units:
            state = states[name]
            if state.failed:
                return Complaint(name, "%s has failed (%s)" % (name, state.Result), True)
            if not state.active and not state.oneshot:
                if state.ActiveState == "inactive":
                    return Complaint(name, "%s has ended" % name, True)
                return Complaint(name, "%s is not active (%s)" % (name, state.ActiveState), False)
            if expected:
                ports = self.listening() if ports is None else ports
                closed = [str(port) for port in expected if port not in ports]
                if closed:
                    return Complaint(name, "%s does not listen on port %s" % (name, ", ".join(closed)), False)
        return None

    def listening(self) -> set[int]:
        tables = []
        for path in ("/proc/net/tcp", "/proc/net/tcp6"):
            try:
                with open(self.store.live(path), encoding="ascii", errors="replace") as stream:
                    tables.append(stream.read())
            except OSError:
                continue  # Without IPv6 there is no second table.
        return listening(*tables)

    # --- the ring

    def ring_state(self) -> tuple[bool | None, str]:
        """True or False as the ring is in sync or not, and in words; None if there is no director here yet."""
        try:
            ring = self.director().ring()
        except NotRunning as error:
            return None, str(error)
        except DoveadmError as error:
            return False, str(error)
        return ring["synced"], ring["status"]

    def ring_wait(self) -> str | None:
        """Returns None once the ring is in sync, else the last words after the timeout."""
        end = self.clock() + self.timeout
        while True:
            synced, words = self.ring_state()
            if synced:
                return None
            if self.clock() >= end:
                return words
            self.sleep(RING_POLL)

    def ring_before(self, todo: Work) -> bool:
        """Whether this node is in the ring and is about to leave it for a moment. Waits until it may."""
        if not self.ring or DOVECOT not in todo.reload + todo.restart or self.ring_state()[0] is None:
            return False
        words = self.ring_wait()
        if words is not None:
            raise ConfigError(
                "The ring is not in sync after %d s (%s), so %s was not reloaded: with a second director out of the "
                "ring its state could be lost. The new files are installed but not in force. See 'doveadm director "
                "ring status' on every director, and run again." % (self.timeout, words, DOVECOT)
            )
        return True

    def ring_after(self) -> None:
        words = self.ring_wait()
        if words is not None:
            self.store.clear()
            raise ConfigError(
                "%s has picked up the new files, but the ring is not in sync after %d s (%s). The files were kept, they "
                "are not the cause of this as far as this node can tell. See 'doveadm director ring status' on every "
                "director before you go on with the next one." % (DOVECOT, self.timeout, words)
            )
        self.await_reach()

    def await_reach(self) -> None:
        """Until this director can end each of its sessions again, so that a drain right after the deployment does.

        Nothing is wrong when it takes longer: the monitor ends what strays.
        """
        end = self.clock() + min(self.timeout, REACH)
        while self.clock() < end:
            try:
                if not self.director().out_of_reach():
                    return
            except DoveadmError:
                pass
            self.sleep(RING_POLL)

    def director(self) -> Director:
        return Director(Doveadm(lambda argv, seconds: self.run(limited(argv, seconds)), clock=self.clock))

    # --- backwards

    def failure(self, error: ConfigError, files: bool) -> ConfigError:
        """Goes back to what was in force, and says how that went."""
        unit = getattr(error, "unit", None)
        journal = self.systemd.journal(unit) if unit else []
        words = error.message
        restored: list[str] = []
        if files:
            restored, troubles = self.roll_back()
            if troubles:
                words += ". The previous files are back, but: " + "; ".join(troubles)
            elif unit in self.done.start:
                words += ". The previous files are back; %s was not running before and is not now" % unit
                words += ". Correct the cause and run again."
            else:
                words += ". The previous configuration is back in force. Correct the cause and run again."
        else:
            words += ". No file was changed, so there is nothing to take back."
        if journal:
            words += "\nLast lines of its journal:\n" + "\n".join(journal)
        details = self.result(self.done, self.stopped, True, rolled_back=bool(files))
        del details["changed"]
        return ConfigError(words, journal=journal, restored_files=restored, unit=unit or "", **details)

    def roll_back(self) -> tuple[list[str], list[str]]:
        """Returns (the files put back, what went wrong)."""
        paths, dummy = self.store.restore()
        troubles: list[str] = []

        def attempt(verb: str, *units: str) -> None:
            try:
                self.systemd.tell(verb, *units)
            except ConfigError as error:
                troubles.append(error.message)

        new = [name for name in self.done.enable if not self.was[name].enabled]
        started = [name for name in self.done.start if not self.was[name].active]
        for name in started:
            # While its file is still known to systemd.
            attempt("stop", name)
        if new:
            attempt("disable", *new)
        if unit_files(paths):
            attempt("daemon-reload")
        for name in self.stopped:
            if name in self.disabled:
                attempt("enable", name)
            if self.was[name].active:
                attempt("start", name)
        back = [name for name in self.done.restart + self.done.reload if self.was[name].active]
        for name in back:
            state = self.systemd.show([name])[name]
            if state.failed:
                attempt("reset-failed", name)
            attempt("restart" if name in self.done.restart else "reload-or-restart", name)
        watched = [
            unit._replace(ports=[port for port in unit.ports if port in self.was_listening])
            for unit in self.watched
            if unit.name in back
        ]
        troubles += self.wait_back(watched)
        if not troubles:
            self.store.clear()
        return paths, troubles

    def wait_back(self, watched: list[Watched]) -> list[str]:
        end = self.clock() + self.timeout
        while watched:
            found = self.complaint(watched, self.systemd.show([unit.name for unit in watched]))
            if found is None:
                break
            if found.final or self.clock() >= end:
                return [found.words]
            self.sleep(POLL)
        return []
