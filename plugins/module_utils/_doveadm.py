# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs doveadm and turns its failures into typed errors.  The runner is injected, tests script it."""

from __future__ import annotations

import json
import time


class DoveadmError(Exception):
    """doveadm failed; carries what was run and what it said."""

    def __init__(self, message, argv=None, rc=None, stderr=""):
        super().__init__(message)
        self.argv = argv
        self.rc = rc
        self.stderr = stderr

    def details(self):
        return {"argv": self.argv, "rc": self.rc, "stderr": self.stderr}


class NotRunning(DoveadmError):
    """There is no such service to talk to: not started, not configured, or not installed."""


class OutputError(DoveadmError):
    """doveadm printed something that is not understood."""


class RingNotSynced(DoveadmError):
    """The ring did not agree within the time given."""


class Doveadm:
    """I(runner) takes an argument list and gives (rc, stdout, stderr), as AnsibleModule.run_command does."""

    def __init__(self, runner, clock=time.monotonic, sleep=time.sleep):
        self._runner = runner
        self.clock = clock
        self.sleep = sleep

    def run(self, *words):
        argv = ["doveadm"] + [str(word) for word in words]
        rc, stdout, stderr = self._runner(argv)
        if rc == 0:
            return stdout
        said = stderr.strip() or "exit status %s" % rc
        if "Fatal:" in stderr or "No such file" in stderr or "Connection refused" in stderr:
            raise NotRunning(
                "'%s' found no such service on this node (%s): is Dovecot running, with the role's "
                "configuration in force? See journalctl -u dovecot" % (" ".join(argv), said), argv, rc, stderr)
        raise DoveadmError("'%s' failed: %s" % (" ".join(argv), said), argv, rc, stderr)

    def rows(self, *words):
        """The table that a command prints, as a list of mappings of strings."""
        argv = ("-f", "json") + words
        stdout = self.run(*argv)
        try:
            rows = json.loads(stdout) if stdout.strip() else []
        except ValueError as error:
            raise OutputError("'doveadm %s' printed no JSON (%s): %s"
                              % (" ".join(argv), error, stdout[:500]), list(argv), 0, stdout)
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise OutputError("'doveadm %s' printed no table: %s" % (" ".join(argv), stdout[:500]), list(argv), 0, stdout)
        return rows
