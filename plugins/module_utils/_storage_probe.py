# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Proves that storage is mounted as declared, and that nodes see each other's files and locks there."""

from __future__ import annotations

import inspect
import json
import os
import sys
from typing import Any, NoReturn, TypedDict

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.mailcluster.dovecot.plugins.module_utils import _storage_program
from ansible_collections.mailcluster.dovecot.plugins.module_utils._errors import Failure
from ansible_collections.mailcluster.dovecot.plugins.module_utils._mounts import Mount, mounted_at, not_in_force
from ansible_collections.mailcluster.dovecot.plugins.module_utils._types import Params, Result

UNIT = "mailcluster-dovecot-probe.service"
PATIENCE = 10  # seconds until a lock must be seen


class Written(TypedDict, total=False):
    """What the program tells of its writing: the owner of the storage, and a clock or an error."""

    owner: list[int]
    clock: list[float]
    error: str


def program(*words: str) -> list[str]:
    """A command line that does something on the storage."""
    return [sys.executable, "-c", inspect.getsource(_storage_program)] + list(words)


class Probe:
    """One call of the module."""

    def __init__(self, module: AnsibleModule) -> None:
        self.module = module
        self.params: Params = module.params

    def file_of(self, name: str) -> str:
        return os.path.join(self.params["path"], ".mailcluster-probe.%s.%s" % (name, self.params["run"]))

    def ask(self, *words: str) -> Any:
        """What the program tells, as the mail user; fails when the storage does not let it end."""
        params = self.params
        status, out, err = self.module.run_command(
            [
                "timeout",
                "--kill-after=1",
                str(params["timeout"]),
                "setpriv",
                "--reuid=%d" % params["uid"],
                "--regid=%d" % params["gid"],
                "--clear-groups",
            ]
            + program(*words)
        )
        if status in (124, 137):
            self.refuse(
                [
                    "%s does not answer after %d s: is its server up, and reached from here? See 'journalctl -u %s', and "
                    "run again" % (params["source"], params["timeout"], params["unit"])
                ]
            )
        if status != 0:
            self.refuse(["%s: %s" % (params["path"], err.strip().splitlines()[-1] if err.strip() else "exit status %d" % status)])
        return json.loads(out)

    def refuse(self, sentences: list[str]) -> NoReturn:
        self.release()
        raise Failure(
            "The storage cannot be used as it is, Dovecot was not started with it:\n"
            + "\n".join("  - %s: %s" % (self.params["name"], sentence) for sentence in sentences)
        )

    def hold(self) -> Result:
        self.release()
        with open("/proc/self/mountinfo", encoding="utf-8") as stream:
            mount = mounted_at(stream.read(), self.params["path"])
        wrong = mount_complaints(mount, self.params)
        if mount is None or wrong:
            self.refuse(wrong)
        told: Written = self.ask("write", self.file_of(self.params["name"]), self.params["path"])
        nfs = mount["filesystem"].startswith("nfs")
        wrong = writing_complaints(told, self.params, nfs)
        if wrong:
            self.refuse(wrong)
        self.module.run_command(
            [
                "systemd-run",
                "--quiet",
                "--collect",
                "--unit=" + UNIT,
                "--uid=%d" % self.params["uid"],
                "--gid=%d" % self.params["gid"],
                "--property=RuntimeMaxSec=120",
            ]
            + program("hold", self.params["lock"], self.file_of(self.params["name"])),
            check_rc=True,
        )
        return {"mount": mount, "clock_difference": round(ahead(told["clock"]), 3) if nfs else None}

    def see(self) -> Result:
        others = self.params["others"]
        found = self.ask("see", self.params["lock"], str(PATIENCE), *[self.file_of(name) for name in others]) if others else []
        wrong = [
            complaint
            for complaint in (lock_complaint(name, state, self.params) for name, state in zip(others, found))
            if complaint
        ]
        if wrong:
            self.refuse(wrong)
        return {}

    def release(self) -> Result:
        self.module.run_command(["systemctl", "stop", UNIT])
        return {}


def ahead(clock: list[float]) -> float:
    """Seconds by which the node is ahead of the server that gave a file its time; the middle of what it can be."""
    before, written, after = clock
    return (before + after) / 2 - written


def mount_complaints(mount: Mount | None, params: Params) -> list[str]:
    """Sentences about what is mounted and how."""
    again = "stop Dovecot, 'systemctl restart %s', and run again" % params["unit"]
    if mount is None:
        return ["nothing is mounted at %s: see 'journalctl -u %s'" % (params["path"], params["unit"])]
    found: list[str] = []
    if mount["filesystem"] != params["filesystem"]:
        found.append(
            "%s has the file system %s, but dovecot_shared_storage_type means %s: correct it, or unmount what is "
            "there" % (params["path"], mount["filesystem"], params["filesystem"])
        )
    if mount["source"].rstrip("/") != params["source"].rstrip("/"):
        found.append(
            "%s is mounted from %s, but dovecot_shared_storage_source is %s: %s"
            % (params["path"], mount["source"], params["source"], again)
        )
    missing = not_in_force(params["options"], mount)
    if missing:
        found.append(
            "the mount options %s are not in force (there are %s): %s" % (", ".join(missing), ",".join(mount["options"]), again)
        )
    return found


def writing_complaints(told: Written, params: Params, nfs: bool) -> list[str]:
    """Sentences about the owner, the writing and the clock."""
    found: list[str] = []
    if told["owner"] != [params["uid"], params["gid"]]:
        found.append(
            "%s belongs to user %d and group %d on the storage, but mail has dovecot_mail_uid %d and dovecot_mail_gid %d: "
            "'chown %d:%d' the exported folder on its server, and let the server map no ids"
            % (params["path"], told["owner"][0], told["owner"][1], params["uid"], params["gid"], params["uid"], params["gid"])
        )
    if "error" in told:
        found.append(
            "user %d cannot write to %s (%s): is it exported read-only, full, or are ids mapped on the server?"
            % (params["uid"], params["path"], told["error"])
        )
    elif nfs and abs(ahead(told["clock"])) - (told["clock"][2] - told["clock"][0]) / 2 > params["max_clock_difference"]:
        found.append(
            "its clock is %+.1f s from the file server's, dovecot_shared_storage_max_clock_difference is %g: let both keep time "
            "by NTP (chronyc makestep)" % (ahead(told["clock"]), params["max_clock_difference"])
        )
    return found


def lock_complaint(name: str, state: str, params: Params) -> str | None:
    """A sentence about another node's file, or None."""
    if state == "locked":
        return None
    if state == "hidden":
        return (
            "the file that %s has just written to %s is not seen here: is the same storage mounted on both (findmnt %s), "
            "and are failed lookups kept (mount option lookupcache)?" % (name, params["path"], params["path"])
        )
    if state == "unlocked":
        return (
            "the %s lock that %s holds in %s is not seen here, so indexes would break: mount without nolock and local_lock, "
            "or set dovecot_shared_storage_lock_method to what this storage has" % (params["lock"], name, params["path"])
        )
    return "the file of %s cannot be locked (%s): set dovecot_shared_storage_lock_method" % (name, state)


def work(module: AnsibleModule) -> Result:
    module.run_command_environ_update = {"LC_ALL": "C"}
    probe = Probe(module)
    act = {"held": probe.hold, "seen": probe.see, "released": probe.release}[module.params["state"]]
    return {"changed": False, **act()}
