# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The built-in check of a staged Dovecot configuration: what doveconf sees, and what it does not see.

doveconf (2.3) reports syntax, unknown settings and bad values with file and line. It accepts a plugin that is not
installed, a certificate that does not belong to its key, a protocol whose program is missing and a service of a user
that does not exist; Dovecot then refuses to start, or refuses its users. Parsing is pure; `check` does the reading.
"""

from __future__ import annotations

import grp
import os
import posixpath
import pwd
from collections.abc import Callable, Container, Iterator
from typing import NamedTuple

from ansible_collections.mailcluster.dovecot.plugins.module_utils._certificates import Certificates
from ansible_collections.mailcluster.dovecot.plugins.module_utils._doveconf import MAIN, Problem, Section, complaints, parse
from ansible_collections.mailcluster.dovecot.plugins.module_utils._dovecot_rules import (
    COMBINATIONS,
    Pair,
    account_problems,
    plugin_problems,
    protocol_problems,
    ssl_pairs,
)
from ansible_collections.mailcluster.dovecot.plugins.module_utils._staged_files import includes, locate, redirect
from ansible_collections.mailcluster.dovecot.plugins.module_utils._types import Run


class Accounts(NamedTuple):
    users: set[str]
    groups: set[str]


class Check:
    """One staged tree. `run` is AnsibleModule.run_command; `live(path)` gives the place of a live path.

    staged: the paths in the tree; removed: live paths that this call takes away.
    """

    def __init__(
        self,
        run: Run,
        tree: str,
        staged: Container[str],
        removed: Container[str] = (),
        live: Callable[[str], str] = lambda path: path,
    ) -> None:
        self.run = run
        self.tree = tree
        self.staged = staged
        self.removed = removed
        self.live = live
        self.contents: dict[str, str] = {}
        self.config: Section | None = None
        self.certificates = Certificates(run)
        self.warnings: list[str] = []

    def place(self, path: str) -> str:
        """Where to read `path`: in the tree if it is there, else on the host."""
        inside = self.tree + path
        return inside if os.path.exists(inside) else self.live(path)

    def content(self, path: str) -> str:
        """What is in `path`, as far as there is such a file."""
        try:
            with open(self.place(path), encoding="utf-8", errors="replace") as stream:
                return stream.read()
        except OSError:
            return ""

    def is_there(self, path: str) -> bool:
        return os.path.isfile(self.place(path))

    def complete(self) -> None:
        """Adds to the tree what the staged files include but nobody manages, and lets absolute paths stay inside it."""
        todo = [MAIN]
        done: set[str] = set()
        while todo:
            path = todo.pop()
            if path in done or not os.path.isfile(self.tree + path):
                continue
            done.add(path)
            with open(self.tree + path, "rb") as stream:
                text = stream.read().decode("utf-8", "replace")
            self.contents[path] = text
            for pattern in includes(text):
                absolute = posixpath.normpath(posixpath.join(posixpath.dirname(path), pattern))
                self._adopt(absolute)
                todo.extend(self._matches(self.tree, absolute))
            with open(self.tree + path, "wb") as stream:
                stream.write(redirect(text, self.tree, self.staged).encode("utf-8"))

    @staticmethod
    def _matches(root: str, pattern: str) -> list[str]:
        from glob import glob

        return sorted(path[len(root) :] for path in glob(root + pattern) if os.path.isfile(path))

    def _adopt(self, pattern: str) -> None:
        root = self.live("/").rstrip("/")
        for path in self._matches(root, pattern):
            if path in self.removed or os.path.exists(self.tree + path):
                continue
            place = self.tree + path
            os.makedirs(os.path.dirname(place), mode=0o700, exist_ok=True)
            with open(root + path, "rb") as source, open(place, "wb") as copy:
                copy.write(source.read())

    def doveconf(self, *options: str) -> tuple[str, list[Problem]]:
        """Returns (standard output, Problems)."""
        status, out, err = self.run(["doveconf"] + list(options) + ["-c", self.tree + MAIN])
        problems = complaints(err, self.tree)
        if status != 0 and not problems:
            text = (err.strip() or "it ended with exit status %d" % status).replace(self.tree, "")
            problems = [Problem(text)]
        return out, problems if status != 0 else [found for found in problems if found.path]

    def problems(self) -> list[Problem]:
        if not os.path.isfile(self.tree + MAIN):
            return [Problem("nothing puts %s in place, so there is no configuration to check" % MAIN, MAIN)]
        self.complete()
        # -x resolves variables and reads the files behind `<`: without it doveconf -n accepts those that are missing.
        dummy, found = self.doveconf("-x", "-n", "-P")
        if found:
            return found
        out, found = self.doveconf("-n", "-P")
        if found:
            return found
        config = self.config = parse(out)
        found = list(plugin_problems(config, self.listing, self.contents))
        found += protocol_problems(config, lambda path: os.path.exists(self.live(path)), self.contents)
        users, groups = self.coming_accounts()
        found += account_problems(
            config,
            lambda name: name in users or known(pwd.getpwnam, name),
            lambda name: name in groups or known(grp.getgrnam, name),
            self.contents,
        )
        for combination in COMBINATIONS:
            found += combination(config, self.contents)
        found += self.ssl_problems(config)
        return found

    def coming_accounts(self) -> Accounts:
        """What the staged sysusers.d files make before the configuration comes into force."""
        text = ""
        for path in self._matches(self.tree, "/etc/sysusers.d/*.conf"):
            with open(self.tree + path, encoding="utf-8", errors="replace") as stream:
                text += stream.read() + "\n"
        return declared_accounts(text)

    def listing(self, directory: str) -> list[str]:
        try:
            return os.listdir(self.live(directory))
        except OSError:
            return []

    def resolve(self, value: str) -> tuple[str, str]:
        """`</path` -> (path as the user knows it, place to read it). Relative ones were resolved by doveconf -x."""
        path = value[1:].strip()
        if path.startswith(self.tree + "/"):
            path = path[len(self.tree) :]
        if path.startswith("/"):
            return path, self.place(path)
        for folder in sorted({posixpath.dirname(name) for name in self.contents}):
            candidate = posixpath.join(folder, path)
            if self.is_there(candidate):
                return candidate, self.place(candidate)
        return path, path

    def ssl_problems(self, config: Section) -> Iterator[Problem]:
        for section in config.filters():
            for setting in ("ssl_ca", "ssl_client_ca_file", "ssl_client_cert", "ssl_client_key", "ssl_dh"):
                value = section.settings.get(setting, "")
                if setting == "ssl_client_ca_file" and value:
                    value = "<" + value
                if value.startswith("<"):
                    path, place = self.resolve(value)
                    if not os.path.isfile(place):
                        yield self.missing(section, setting, path)
        for pair in ssl_pairs(config):
            yield from self.pair_problems(pair)

    def missing(self, section: Section, setting: str, path: str) -> Problem:
        file, line = locate(self.contents, setting, path)
        message = "%s is %s, and there is no such file. Put it there first." % (section.where(setting), path)
        return Problem(message, file, line, absent=True)

    def pair_problems(self, pair: Pair) -> Iterator[Problem]:
        section, cert_setting, cert, key_setting, key = pair
        for setting, value, other in ((cert_setting, cert, key_setting), (key_setting, key, cert_setting)):
            if not value:
                file, line = locate(self.contents, other, "")
                yield Problem("%s is set, but %s is not." % (section.where(other), setting), file, line)
                return
        if not (cert.startswith("<") and key.startswith("<")):
            return  # The text itself stands in the configuration; doveconf has read it.
        (cert_path, cert_place), (key_path, key_place) = self.resolve(cert), self.resolve(key)
        absent = False
        for setting, path, place in ((cert_setting, cert_path, cert_place), (key_setting, key_path, key_place)):
            if not os.path.isfile(place):
                absent = True
                yield self.missing(section, setting, path)
        if absent:
            return
        of_cert, expired = self.certificates.certificate(cert_place)
        of_key = self.certificates.key(key_place, section.effective("ssl_key_password"))
        file, line = locate(self.contents, cert_setting, cert_path)
        if of_cert is None:
            yield Problem("%s (%s) is not a certificate in PEM form." % (cert_path, section.where(cert_setting)), file, line)
        elif of_key is None:
            file, line = locate(self.contents, key_setting, key_path)
            yield Problem(
                "%s (%s) is not a private key that can be read (in PEM form, ssl_key_password if it is encrypted)."
                % (key_path, section.where(key_setting)),
                file,
                line,
            )
        elif of_cert != of_key:
            yield Problem(
                "the certificate %s (%s) does not belong to the private key %s: their public keys differ."
                % (cert_path, section.where(cert_setting), key_path),
                file,
                line,
            )
        elif expired:
            self.warnings.append("the certificate %s (%s) has expired" % (cert_path, section.where(cert_setting)))


def declared_accounts(sysusers: str) -> Accounts:
    """What a sysusers.d file declares; a user brings a group of that name."""
    words = [line.split() for line in sysusers.splitlines()]
    users = {line[1] for line in words if len(line) > 1 and line[0].rstrip("!") == "u"}
    groups = {line[1] for line in words if len(line) > 1 and line[0] == "g"}
    return Accounts(users, users | groups)


def known(find: Callable[[str], object], name: str) -> bool:
    """Whether this node has the user that pwd.getpwnam finds, or the group that grp.getgrnam does."""
    try:
        find(name)
    except KeyError:
        return False
    return True
