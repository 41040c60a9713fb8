# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What `config` and `config_apply` keep on the node: the manifest of managed files and the not yet applied changes.

Everything here is file input and output; what is to be done is decided in _config_plan.py.

Layout of the state directory (0700):

    manifest.json   path -> role, unit, secret, sha256: the files that are ours
    pending.json    what was installed since the last apply: path -> how it was before, the units to reload,
                    the manifest before
    before/         the previous contents that pending.json names
    replaced/       one copy of every file that was there before it became ours, under its absolute path
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypedDict

from ansible_collections.mailcluster.dovecot.plugins.module_utils._errors import Failure

LOCK_SECONDS = 60
STAGE_DIR = "/run"
STAGE_PREFIX = "mailcluster-stage-"


class ConfigError(Failure):
    """Of `config` and `config_apply`."""


@dataclass(slots=True)
class OnDisk:
    """A file (or symbolic link) as it is on disk."""

    content: bytes = field(default=b"", repr=False)  # may be a secret
    mode: int = 0
    uid: int = 0
    gid: int = 0
    target: str | None = None


class Entry(TypedDict, total=False):
    """A file of ours in manifest.json."""

    role: str
    unit: str
    secret: bool
    sha256: str


Manifest = dict[str, Entry]


class Before(TypedDict, total=False):
    """How a file in pending.json was: absent, a link with its target, or a file with what else it had."""

    was: str
    target: str
    saved: str
    mode: int
    uid: int
    gid: int


class Pending(TypedDict, total=False):
    """pending.json"""

    files: dict[str, Before]
    units: list[str]
    manifest: Manifest
    applying: bool


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def fsync_directory(path: str) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_new(
    path: str, content: bytes, mode: int = 0o600, uid: int | None = None, gid: int | None = None, durable: bool = True
) -> None:
    """Creates the file closed to everybody else, and opens it only after owner and mode are what they shall be."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(handle, "wb", closefd=False) as stream:
            stream.write(content)
        if uid is not None and gid is not None:
            status = os.fstat(handle)
            if (status.st_uid, status.st_gid) != (uid, gid):
                os.fchown(handle, uid, gid)
        os.fchmod(handle, mode)
        if durable:
            os.fsync(handle)
    finally:
        os.close(handle)


def remove_if_there(path: str) -> bool:
    try:
        os.unlink(path)
    except FileNotFoundError:
        return False
    return True


class Store:
    """The managed files of one node. `root` is for tests: it stands in front of every path."""

    def __init__(self, state_dir: str, root: str = "") -> None:
        self.root = root.rstrip("/")
        self.directory = self.live(state_dir)
        self.manifest_file = os.path.join(self.directory, "manifest.json")
        self.pending_file = os.path.join(self.directory, "pending.json")
        self.before = os.path.join(self.directory, "before")
        self.replaced = os.path.join(self.directory, "replaced")
        self._lock: int | None = None

    def live(self, path: str) -> str:
        return self.root + path

    # --- reading

    def read(self, path: str) -> OnDisk | None:
        """The file at `path`, or None. Whatever is neither a file nor a link is refused."""
        return self._read(self.live(path), path)

    @staticmethod
    def _read(place: str, path: str) -> OnDisk | None:
        try:
            handle = os.open(place, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR):
                return None
            if error.errno == errno.ELOOP:
                return OnDisk(target=os.readlink(place))
            raise
        try:
            status = os.fstat(handle)
            if not stat.S_ISREG(status.st_mode):
                raise ConfigError(
                    "%s is not a regular file, so it cannot be managed. Move it out of the way and run again." % path, path=path
                )
            with os.fdopen(handle, "rb", closefd=False) as stream:
                return OnDisk(stream.read(), stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid)
        finally:
            os.close(handle)

    def _load(self, path: str, empty: Any) -> Any:
        try:
            with open(path, "rb") as stream:
                return json.loads(stream.read().decode("utf-8"))
        except FileNotFoundError:
            return empty
        except ValueError as error:
            raise ConfigError(
                "%s is damaged (%s). It is written by this collection only: restore it from a backup, or move the "
                "whole of %s away, and run again." % (path, error, self.directory)
            ) from error

    def manifest(self) -> Manifest:
        return self._load(self.manifest_file, {"files": {}})["files"]

    def pending(self) -> Pending | None:
        """What is installed but not applied yet: files, units, manifest (as it was before), applying; or None."""
        return self._load(self.pending_file, None)

    # --- writing

    def prepare(self) -> None:
        os.makedirs(os.path.dirname(self.directory), mode=0o755, exist_ok=True)
        try:
            os.mkdir(self.directory, 0o700)
        except FileExistsError:
            os.chmod(self.directory, 0o700)
        for path in (self.before, self.replaced):
            if not os.path.isdir(path):
                os.mkdir(path, 0o700)

    def lock(self) -> None:
        """Two runs on one node must not mix. The lock is on the directory itself: it leaves nothing behind."""
        try:
            self._lock = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:
            return
        end = time.monotonic() + LOCK_SECONDS
        while True:
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except OSError as error:
                if error.errno not in (errno.EAGAIN, errno.EACCES):
                    raise
            if time.monotonic() > end:
                raise ConfigError(
                    "another run has been working on the configuration of this node for %d s. "
                    "Wait for it to end and run again." % LOCK_SECONDS
                )
            time.sleep(0.1)

    def unlock(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _replace(self, path: str, content: bytes, mode: int = 0o600, uid: int | None = None, gid: int | None = None) -> None:
        folder, name = os.path.split(path)
        beside = os.path.join(folder, ".%s.mailcluster-new" % name)
        remove_if_there(beside)
        try:
            write_new(beside, content, mode, uid, gid)
            os.rename(beside, path)
        except BaseException:
            remove_if_there(beside)
            raise

    def _save(self, path: str, data: object) -> None:
        text = json.dumps(data, indent=1, sort_keys=True) + "\n"
        self._replace(path, text.encode("utf-8"))
        fsync_directory(self.directory)

    def save_manifest(self, manifest: Manifest) -> None:
        self._save(self.manifest_file, {"files": manifest})

    def save_pending(self, pending: Pending) -> None:
        self._save(self.pending_file, pending)

    def remember(
        self, paths: list[str], current: Mapping[str, OnDisk | None], units: list[str], manifest: Manifest, foreign: list[str]
    ) -> None:
        """Keeps the previous version of each path. Runs before the first swap, so that a crash in the middle is known.

        Only the first previous version since the last apply is kept: going back means back to what was applied.
        """
        self.prepare()
        pending: Pending = self.pending() or {"files": {}, "units": [], "manifest": manifest, "applying": False}
        for path in paths:
            if path in pending["files"]:
                continue
            was = current.get(path)
            if was is None:
                entry: Before = {"was": "absent"}
            elif was.target is not None:
                entry = {"was": "link", "target": was.target}
            else:
                name = digest(path.encode("utf-8"))[:32]
                self._replace(os.path.join(self.before, name), was.content)
                entry = {"was": "file", "saved": name, "mode": was.mode, "uid": was.uid, "gid": was.gid}
            pending["files"][path] = entry
        fsync_directory(self.before)
        pending["units"] = pending["units"] + [unit for unit in units if unit not in pending["units"]]
        self.save_pending(pending)
        for path in foreign:
            there = current[path]
            if there is not None:
                self._keep_foreign(path, there)

    def _keep_foreign(self, path: str, was: OnDisk) -> None:
        copy = self.replaced + path
        if os.path.lexists(copy):
            return
        os.makedirs(os.path.dirname(copy), mode=0o700, exist_ok=True)
        if was.target is not None:
            os.symlink(was.target, copy)
        else:
            self._replace(copy, was.content, was.mode, was.uid, was.gid)

    def install(self, path: str, content: bytes, mode: int, uid: int, gid: int) -> None:
        place = self.live(path)
        folder = os.path.dirname(place)
        if not os.path.isdir(folder):
            self._make_directories(folder)
        self._replace(place, content, mode, uid, gid)
        fsync_directory(folder)

    @staticmethod
    def _make_directories(folder: str) -> None:
        missing: list[str] = []
        while not os.path.isdir(folder):
            missing.append(folder)
            folder = os.path.dirname(folder)
        for path in reversed(missing):
            os.mkdir(path)
            os.chmod(path, 0o755)

    def remove(self, path: str) -> None:
        place = self.live(path)
        if remove_if_there(place):
            fsync_directory(os.path.dirname(place))

    # --- going back, going on

    def restore(self) -> tuple[list[str], list[str]]:
        """Puts back what was there at the last apply. Can be repeated: the record goes last.

        Returns (paths, units) that were affected.
        """
        pending = self.pending()
        if pending is None:
            return [], []
        for path, entry in sorted(pending["files"].items()):
            place = self.live(path)
            if entry["was"] == "absent":
                self.remove(path)
            elif entry["was"] == "link":
                remove_if_there(place)
                os.symlink(entry["target"], place)
            else:
                saved = self._read(os.path.join(self.before, entry["saved"]), path)
                if saved is None:
                    raise ConfigError(
                        "the previous version of %s is missing in %s, so it could not be put back. Put a good version "
                        "in its place and run again." % (path, self.before)
                    )
                self.install(path, saved.content, entry["mode"], entry["uid"], entry["gid"])
        self.save_manifest(pending["manifest"])
        units = list(pending["units"])
        if pending["applying"]:
            # An apply was interrupted: a unit may run with the files that were just taken back.
            self.save_pending({**pending, "files": {}})
            self._empty_before()
        else:
            self.clear()
        return sorted(pending["files"]), units

    def clear(self) -> None:
        """What is installed is in force (or taken back): nothing is pending any more."""
        if remove_if_there(self.pending_file):
            fsync_directory(self.directory)
        self._empty_before()

    def _empty_before(self) -> None:
        if os.path.isdir(self.before):
            for name in os.listdir(self.before):
                remove_if_there(os.path.join(self.before, name))

    # --- the staged tree

    def new_tree(self) -> str:
        """A private directory in memory, or at least one that the next start of the host empties: it holds secrets."""
        parent = self.live(STAGE_DIR)
        if not os.path.isdir(parent):
            parent = tempfile.gettempdir()
        elif self._lock is not None:
            # Only a run that was killed leaves one, and nobody else works while this one has the lock.
            for name in os.listdir(parent):
                if name.startswith(STAGE_PREFIX):
                    self.discard(os.path.join(parent, name))
        return tempfile.mkdtemp(prefix=STAGE_PREFIX, dir=parent)

    @staticmethod
    def stage(tree: str, contents: Mapping[str, bytes]) -> None:
        """Writes {path: content} under `tree`, a private directory."""
        for path, content in contents.items():
            place = tree + path
            os.makedirs(os.path.dirname(place), mode=0o700, exist_ok=True)
            write_new(place, content, durable=False)

    @staticmethod
    def discard(tree: str) -> None:
        shutil.rmtree(tree, ignore_errors=True)
