# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs doveadm and turns its failures into typed errors.  The runner is injected, tests script it."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from ansible_collections.mailcluster.dovecot.plugins.module_utils._errors import Failure
from ansible_collections.mailcluster.dovecot.plugins.module_utils._types import Clock, Result, Sleep

# Runs an argument list that may take so many seconds: exit status, standard output and standard error.
Runner = Callable[[list[str], float], tuple[int, str, str]]
AsRow = Callable[[list[tuple[str, Any]]], Any]


class Answer(NamedTuple):
    """A command, and how it ended."""

    argv: list[str]
    rc: int
    stdout: str
    stderr: str


class DoveadmError(Failure):
    """doveadm failed, or was not asked because the answer is known; carries what was run and what it said."""

    def __init__(
        self, message: str, argv: list[str] | None = None, rc: int | None = None, stdout: str = "", stderr: str = ""
    ) -> None:
        super().__init__(message)
        self.argv = argv
        self.rc = rc
        self.stdout = stdout
        self.stderr = stderr

    @classmethod
    def name(cls) -> str:
        """C(ring_not_synced) of C(RingNotSynced): what playbooks can compare with."""
        return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", cls.__name__).lower()

    def details(self) -> Result:
        """What a failed module returns beside its message."""
        ran = {} if self.argv is None else {"argv": self.argv, "rc": self.rc, "stdout": self.stdout, "stderr": self.stderr}
        return dict(ran, error=self.name())


class InvalidValue(DoveadmError):
    """An option's value cannot be meant; nothing was run."""


class NotAllowed(DoveadmError):
    """What was asked for would do harm; nothing was changed."""


class NotInstalled(DoveadmError):
    """There is no doveadm on this node, or none that can do this."""


class NotRunning(DoveadmError):
    """There is no such service to talk to: not started, not configured, or it does not answer."""


class NotPermitted(DoveadmError):
    """The user that ran the module may not talk to Dovecot."""


class RingNotSynced(DoveadmError):
    """The ring did not agree within the time given."""


class HostUnknown(DoveadmError):
    """The ring has no such backend or director, or a name has no address."""


class UserUnknown(DoveadmError):
    """The user database has no such user."""


class UserListIncomplete(DoveadmError):
    """The user database lists a part of its users, or none; who is missing is not known."""


class MailboxUnknown(DoveadmError):
    """The user has no such mailbox."""


class TryAgain(DoveadmError):
    """Something else is being done to the same host or user just now."""


class TimedOut(DoveadmError):
    """It took longer than the time given."""


class UsersFailed(DoveadmError):
    """It did not work for some users; I(found) is what the module returns beside the message."""

    def __init__(self, message: str, found: Result) -> None:
        super().__init__(message)
        self.found = found

    def details(self) -> Result:
        return dict(super().details(), **self.found)


class SyncFailed(UsersFailed):
    """Users were not synchronised."""


class MaintenanceFailed(UsersFailed):
    """Users' mailboxes were not looked after."""


class OutputError(DoveadmError):
    """doveadm printed something that is not understood."""


# The exit status of timeout(1) for a command that it ended; how doveadm's runner tells that, too.
TIMED_OUT = 124

NOT_CONFIGURED = "This node's Dovecot is not configured for it: run it on another node"

# What doveadm says (case does not count), what that means, and what to do.  The first that is found counts.
MEANINGS: tuple[tuple[str, type[DoveadmError], str], ...] = (
    (
        "permission denied (euid=",
        NotPermitted,
        "Fix owner or mode of what it names, which that user needs; or run the task with become: true",
    ),
    ("permission denied", NotPermitted, "Only root may do this: run the task with become: true"),
    (
        "ring sync timed out",
        RingNotSynced,
        "Is every director of the ring running and able to reach the ring port of the others? See "
        "'doveadm director ring status' on each",
    ),
    (
        "user listing returned failure",
        UserListIncomplete,
        "The list is incomplete: a directory has a size limit (500 entries in OpenLDAP, 1,000 in Active Directory), which must "
        "be raised for Dovecot's account, since Dovecot 2.3 does not ask page by page; or a database could not be asked, see "
        "journalctl -u dovecot",
    ),
    ("try again later", TryAgain, "Run it again in a moment"),
    ("already being moved", TryAgain, "Run it again in a moment"),
    ("gethostname(", HostUnknown, "Give an address, or a name that this node can resolve"),
    ("mailbox doesn't exist", MailboxUnknown, "Compare with doveadm mailbox list"),
    ("user doesn't exist", UserUnknown, "Compare with the list of doveadm user '*' on this node"),
    ("user not found", UserUnknown, "Compare with the list of doveadm user '*' on this node"),
    (": doesn't exist", HostUnknown, "Compare with the list of doveadm director status"),
    ("' doesn't exist", HostUnknown, "Compare with the list of doveadm director status"),
    ("error: not found", HostUnknown, "Compare with the list of doveadm director ring status"),
    ("interrupted system call", NotRunning, "The service hangs: see systemctl status dovecot and journalctl -u dovecot"),
    ("timed out", NotRunning, "The service hangs or is not configured: see journalctl -u dovecot"),
    ("no such file or directory", NotRunning, "Is Dovecot running, with this service configured? See journalctl -u dovecot"),
    ("connection refused", NotRunning, "Is Dovecot running, with this service configured? See journalctl -u dovecot"),
    # Its process ends at once, before or after doveadm has said its first line.
    ("connection reset", NotRunning, NOT_CONFIGURED),
    ("broken pipe", NotRunning, NOT_CONFIGURED),
    ("disconnected", NotRunning, "The service ended meanwhile: see journalctl -u dovecot"),
    ("unknown command", NotInstalled, "Director and replicator need Dovecot 2.2 or 2.3: 2.4 has them no longer"),
)
# User lookups tell the outcome by exit status only.
MEANING_OF_STATUS: dict[int, tuple[type[DoveadmError], str]] = {
    67: (UserUnknown, "Compare with the list of doveadm user '*' on this node"),
    68: (HostUnknown, "Compare with the list of doveadm director status"),
}


def failure(argv: list[str], rc: int, stdout: str, stderr: str) -> DoveadmError:
    """The typed error for a command that failed with I(rc)."""
    said = first_words(stderr) or first_words(stdout) or "exit status %s" % rc
    if rc == TIMED_OUT:
        return TimedOut(
            "'%s' gave no answer in the time given. Is the service hanging? See journalctl -u dovecot; "
            "or raise timeout" % " ".join(argv),
            argv,
            rc,
            stdout,
            stderr,
        )
    text = stderr.lower()
    meaning = next(((kind, remedy) for words, kind, remedy in MEANINGS if words in text), None)
    kind, remedy = meaning or MEANING_OF_STATUS.get(rc, (DoveadmError, "See journalctl -u dovecot"))
    return kind("'%s' failed: %s. %s" % (" ".join(argv), said.rstrip("."), remedy), argv, rc, stdout, stderr)


COMPLAINT = re.compile(r"^(.*: )?(Error|Fatal|Panic): ", re.MULTILINE)


def refuse_failure(argv: list[str], rc: int, stdout: str, stderr: str) -> None:
    """Raises the typed error when the command failed, or complained and ended with 0 all the same."""
    if rc != 0 or COMPLAINT.search(stderr):
        raise failure(argv, rc, stdout, stderr)


def first_words(text: str) -> str:
    """The first line that says something; a backtrace behind it is no help in a message."""
    return next((line.strip() for line in text.splitlines() if line.strip()), "")


def not_understood(what: str, raw: object) -> OutputError:
    """The typed error for an answer of unknown form, with the raw text."""
    text = raw if isinstance(raw, str) else json.dumps(raw, default=repr)
    return OutputError(
        "the answer of '%s' is not understood: %s. Is it Dovecot 2.3?" % (what, text[:500] + ("..." if len(text) > 500 else "")),
        what.split(),
        0,
        text[:10000],
    )


def limited(argv: list[str], seconds: float) -> list[str]:
    """I(argv) with an end: a command that hangs is ended, and its exit status is C(TIMED_OUT)."""
    return ["timeout", "--kill-after=5", "%.1f" % seconds] + argv


class Doveadm:
    """Runs doveadm with I(runner), which takes an argument list and seconds and gives (rc, stdout, stderr).

    All calls together may take I(timeout) seconds; a single one is always given a few.
    """

    LEAST = 5  # seconds

    def __init__(self, runner: Runner, timeout: float = 60, clock: Clock = time.monotonic, sleep: Sleep = time.sleep) -> None:
        self._runner = runner
        self.clock = clock
        self.sleep = sleep
        self._timeout = timeout
        self.start_anew()
        # whether something was changed already, which a failure later on has to tell
        self.changed = False

    def start_anew(self) -> None:
        """The time given begins now: after a wait that has a time of its own."""
        self.deadline = self.clock() + self._timeout

    def left(self) -> float:
        """Seconds until the time given is over; not below zero."""
        return max(0, self.deadline - self.clock())

    def attempt(self, *words: object, limit: float | None = None) -> Answer:
        """How a command ended whose exit status the caller judges."""
        argv = ["doveadm"] + [str(word) for word in words]
        rc, stdout, stderr = self._runner(argv, max(self.LEAST, self.left() if limit is None else limit))
        return Answer(argv, rc, stdout, stderr)

    def run(self, *words: object, limit: float | None = None, complaints: bool = False) -> str:
        """Standard output of a command that must succeed; I(limit) is its own time in seconds.

        Some commands (C(quota recalc), C(proxy list)) report an error and end with 0 all the same; only with
        I(complaints) that counts as success.
        """
        argv, rc, stdout, stderr = self.attempt(*words, limit=limit)
        if rc != 0 or not complaints:
            refuse_failure(argv, rc, stdout, stderr)
        return stdout

    def settings(self, name: str, secret: bool = False) -> str:
        """The value of a setting in the configuration file of this node; a I(secret) one is hidden else."""
        return self.output_of("doveconf", "-hP" if secret else "-h", name).strip()

    def output_of(self, *argv: str) -> str:
        """Standard output of another program of this node, which must succeed."""
        rc, stdout, stderr = self._runner(list(argv), max(self.LEAST, self.left()))
        if rc != 0:
            raise failure(list(argv), rc, stdout, stderr)
        return stdout

    def write(self, *words: object, limit: float | None = None) -> str:
        """As C(run), for a command that changes something."""
        stdout = self.run(*words, limit=limit)
        self.changed = True
        return stdout

    def rows(self, *words: object, as_row: AsRow = dict) -> list[Any]:
        """The table that a command prints, as a list of what I(as_row) makes of the (column, value) pairs of a row."""
        stdout = self.run("-f", "json", *words)
        try:
            rows = json.loads(stdout, object_pairs_hook=as_row) if stdout.strip() else []
        except (ValueError, RecursionError):
            raise not_understood("doveadm " + " ".join(map(str, words)), stdout)
        except (KeyError, TypeError, AttributeError):
            raise not_understood("doveadm " + " ".join(map(str, words)), stdout)
        if not isinstance(rows, list):
            raise not_understood("doveadm " + " ".join(map(str, words)), stdout)
        return rows
