# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Installs a role's files as one: compared, staged, validated, and renamed into place."""

from __future__ import annotations

import grp
import posixpath
import pwd
import re
from collections.abc import Callable
from typing import Optional, TypedDict

from ansible_collections.mailcluster.dovecot.plugins.module_utils._config_plan import Plan, Wanted, diff, obsolete, plan
from ansible_collections.mailcluster.dovecot.plugins.module_utils._config_state import ConfigError, Manifest, OnDisk, Store
from ansible_collections.mailcluster.dovecot.plugins.module_utils._types import Find, Result, Run

Files = dict[str, Wanted]
Disk = dict[str, Optional[OnDisk]]


class FileParams(TypedDict):
    dest: str
    template: str | None
    file: str | None
    interpreter: str
    content: str | None
    secret: bool
    owner: str
    group: str
    mode: str | None
    unit: str | None


class Params(TypedDict):
    role: str
    roles: list[str] | None
    unit: str
    partial: bool
    validate: list[str]
    files: list[FileParams]
    secrets: dict[str, str]
    state_dir: str


class Accounts:
    """Names and numbers of owners. In check mode an account may be missing: an earlier task would have made it."""

    def __init__(self, check_mode: bool) -> None:
        self.check_mode = check_mode

    def _number(self, kind: str, name: str, path: str, look_up: Callable[[str], int]) -> int:
        if name.isascii() and name.isdecimal():
            return int(name)
        try:
            return look_up(name)
        except KeyError:
            if self.check_mode:
                return -1
            raise ConfigError(
                "%s: the %s '%s' does not exist on this host. Create it before this task." % (path, kind, name)
            ) from None

    def numbers(self, owner: str, group: str, path: str) -> tuple[int, int]:
        uid = self._number("owner", owner, path, lambda name: pwd.getpwnam(name).pw_uid)
        gid = self._number("group", group, path, lambda name: grp.getgrnam(name).gr_gid)
        return uid, gid

    @staticmethod
    def names(uid: int, gid: int) -> tuple[str, str]:
        try:
            owner = pwd.getpwuid(uid).pw_name
        except KeyError:
            owner = str(uid)
        try:
            group = grp.getgrgid(gid).gr_name
        except KeyError:
            group = str(gid)
        return owner, group


def wanted_files(params: Params, accounts: Accounts) -> dict[str, Wanted]:
    wanted: dict[str, Wanted] = {}
    for file in params["files"]:
        path = file["dest"]
        if not path.startswith("/") or posixpath.normpath(path) != path:
            raise ConfigError("files: dest '%s' is not a plain absolute path. Write it out." % path)
        if path in wanted:
            raise ConfigError("files: dest '%s' is listed twice. Keep one of them." % path)
        secret = file["secret"]
        content = params["secrets"].get(path) if secret else None
        content = file["content"] if content is None else content
        if content is None:
            raise ConfigError("files: dest '%s' has neither template, file nor content. Give one of them." % path)
        mode = file["mode"] or ("0600" if secret else "0644")
        if not re.match(r"0?[0-7]{3,4}$", mode):
            raise ConfigError("files: mode '%s' of '%s' is not octal. Write it like \"0640\"." % (mode, path))
        uid, gid = accounts.numbers(file["owner"], file["group"], path)
        sources = {"template": file.get("template"), "file": file.get("file")}
        unit = params["unit"] if file["unit"] is None else file["unit"]
        wanted[path] = Wanted(
            content.encode("utf-8", "surrogateescape"),
            int(mode, 8),
            file["owner"],
            file["group"],
            uid,
            gid,
            secret,
            unit,
            next(("%s %s" % (kind, name) for kind, name in sources.items() if name), ""),
        )
    return wanted


class Call:
    """One call of the module. `root` is for tests, see Store."""

    def __init__(
        self,
        params: Params,
        run: Run,
        find: Find,
        check_mode: bool = False,
        want_diff: bool = False,
        root: str = "",
        accounts: Accounts | None = None,
    ) -> None:
        self.params = params
        self.run = run
        self.find = find
        self.check_mode = check_mode
        self.want_diff = want_diff
        self.accounts = accounts or Accounts(check_mode)
        self.store = Store(params["state_dir"], root)
        self.warnings: list[str] = []

    def __call__(self) -> Result:
        wanted = wanted_files(self.params, self.accounts)
        self.store.lock()
        try:
            result = self.converge(wanted)
            return dict(result, pending=self.store.pending() is not None)
        finally:
            self.store.unlock()

    def converge(self, wanted: Files) -> Result:
        role = self.params["role"]
        roles = self.params["roles"]
        roles = None if roles is None else roles + [role]
        manifest = self.store.manifest()
        partial = self.params["partial"]
        paths = list(wanted) + ([] if partial else obsolete(manifest, wanted, role, roles))
        current = {path: self.store.read(path) for path in paths}
        the_plan = plan(wanted, current, manifest, role, roles, partial)
        result: Result = {
            "changed": the_plan.changed,
            "changed_files": the_plan.install,
            "removed_files": the_plan.remove,
            "units": the_plan.units,
        }
        if the_plan.changed:
            if self.want_diff:
                result["diff"] = diff(the_plan, wanted, current, manifest, self.accounts.names)
            self.validate(the_plan, wanted, current, manifest)
            if not self.check_mode:
                self.install(the_plan, wanted, current, manifest)
        elif the_plan.manifest != manifest and not self.check_mode:
            # Book-keeping only: a file that was as wanted before it was ours, or another unit.
            self.store.prepare()
            self.store.save_manifest(the_plan.manifest)
        return result

    def validate(self, the_plan: Plan, wanted: Files, current: Disk, manifest: Manifest) -> None:
        if not self.params["validate"]:
            return
        # Not needed on a run that changes nothing, which is most of them.
        from ansible_collections.mailcluster.dovecot.plugins.module_utils._config_validate import Staged, origin, validate

        disk = dict(current)
        staged = {}
        for path in the_plan.manifest:
            if path in wanted:
                staged[path] = wanted[path].content
                continue
            there = disk[path] = self.store.read(path)
            if there is not None and there.target is None:
                staged[path] = there.content
        tree = self.store.new_tree()
        try:
            self.store.stage(tree, staged)
            self.warnings += validate(
                Staged(
                    tree=tree,
                    files=staged,
                    removed=set(the_plan.remove),
                    secrets=[path for path, entry in the_plan.manifest.items() if entry["secret"]],
                    describe=lambda path: origin(path, wanted, disk, manifest, self.params["role"]),
                    live=self.store.live,
                ),
                self.params["validate"],
                self.run,
                self.find,
                self.check_mode,
            )
        except ConfigError as error:
            raise self.refusal(error) from None
        finally:
            self.store.discard(tree)

    def refusal(self, error: ConfigError) -> ConfigError:
        """The refusal in full: what is wrong, what was taken back, what to do."""
        restored: list[str] = []
        if not self.check_mode:
            restored, dummy = self.store.restore()
        message = "The new configuration is refused, nothing of it was installed: " + error.message
        if restored:
            message += "\nWhat earlier tasks of this run had installed was taken back too: " + ", ".join(restored)
        message += "\nThe previous configuration is still in force. Correct the variables behind this and run again."
        return ConfigError(message, restored_files=restored, **error.fields)

    def install(self, the_plan: Plan, wanted: Files, current: Disk, manifest: Manifest) -> None:
        self.store.remember(the_plan.touched, current, the_plan.units, manifest, the_plan.foreign)
        try:
            # Both the old and the new files are ours while they are swapped, whatever interrupts this.
            self.store.save_manifest({**manifest, **the_plan.manifest})
            for path in the_plan.install:
                file = wanted[path]
                self.store.install(path, file.content, file.mode, file.uid, file.gid)
            for path in the_plan.remove:
                self.store.remove(path)
            if set(manifest) - set(the_plan.manifest):
                self.store.save_manifest(the_plan.manifest)
        except OSError as error:
            restored, dummy = self.store.restore()
            raise ConfigError(
                "The files could not be installed: %s. The previous ones were put back; the previous configuration is "
                "still in force." % error,
                restored_files=restored,
            ) from error
