# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The files of LDAP and SQL databases, judged by the one that reads them, Dovecot's own auth process.

doveconf knows these files by their names only. An auth process reads all of them before it does anything else, and ends
where it cannot. So one is started for each file, with that file and behind it a database of a kind that does not exist:
it ends at what is wrong in the file, or else there. By then it has connected to no database, so that one that is down
does not matter, listens nowhere and has written nothing.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from ansible_collections.mailcluster.dovecot.plugins.module_utils._doveadm import limited
from ansible_collections.mailcluster.dovecot.plugins.module_utils._doveconf import Problem, Section
from ansible_collections.mailcluster.dovecot.plugins.module_utils._dovecot_rules import LIBEXEC_DIR
from ansible_collections.mailcluster.dovecot.plugins.module_utils._staged_files import locate

if TYPE_CHECKING:
    from ansible_collections.mailcluster.dovecot.plugins.module_utils._config_dovecot import Check

SECONDS = 10
END = "mailcluster-read"
PACKAGES = {"ldap": "dovecot-ldap", "mysql": "dovecot-mysql", "pgsql": "dovecot-pgsql", "sqlite": "dovecot-sqlite"}
DRIVERS = ("ldap", "sql")
# Where Dovecot tells no line: the setting that it means.
SETTINGS = {
    "Unknown scope option": "scope",
    "Unknown deref option": "deref",
    "Unknown tls_require_cert value": "tls_require_cert",
}

AT_LINE = re.compile(r"onfiguration file (?P<path>\S+) line (?P<line>\d+): (?P<text>.*)$")
NOT_INSTALLED = re.compile(r"(?:Unknown|not compiled in for) (?:passdb|userdb|database) driver '(?P<driver>[^']*)'")


def asked(config: Section) -> dict[tuple[str, str], set[str]]:
    """{(driver, path): kinds of block} of the databases that `doveconf -n` names; kinds are passdb and userdb."""
    found: dict[tuple[str, str], set[str]] = {}
    for section in config.walk():
        driver, path = section.settings.get("driver"), section.settings.get("args", "")
        if section.kind in ("passdb", "userdb") and driver in DRIVERS and path.startswith("/"):
            found.setdefault((driver, path), set()).add(section.kind)
    return found


def configuration(driver: str, place: str, kinds: Iterable[str], folder: str) -> str:
    """What the auth process is started with. A userdb comes after all passdbs, so the end is one."""
    blocks = [(kind, driver, place) for kind in sorted(kinds)] + [("userdb", END, "")]
    return "base_dir = %s\nssl = no\n" % folder + "".join("%s {\n  driver = %s\n  args = %s\n}\n" % block for block in blocks)


def complaints(said: str, path: str, place: str, content: str) -> Iterator[Problem]:
    """What the process said of the file -> Problems. path: as the user knows it; place: where it was read."""
    for raw in said.splitlines():
        level, colon, text = re.sub(r"^auth(\(\d+\))?: ", "", raw.strip()).partition(": ")
        at_line = AT_LINE.search(text)
        if not colon or (level != "Fatal" and not (level == "Warning" and at_line)) or END in text:
            continue
        absent = NOT_INSTALLED.search(text)
        if at_line:
            yield Problem(at_line.group("text"), path, int(at_line.group("line")))
        elif absent and absent.group("driver") in PACKAGES:
            driver = absent.group("driver")
            yield Problem(
                "%s needs Dovecot's driver for %s, which is not installed. Debian's package %s brings it."
                % (path, driver, PACKAGES[driver]),
                absent=True,
            )
        else:
            words = re.sub(r"^(ldap|LDAP|sql|sqlpool)( \S+)?: ", "", text).replace(place, path)
            yield Problem(words, path, line_of(words, content), absent="No such file" in words)


def line_of(words: str, content: str) -> int | None:
    setting = next((SETTINGS[start] for start in SETTINGS if words.startswith(start)), None)
    value = words.partition("'")[2].rstrip("'")
    return locate({"": content}, setting, value)[1] if setting else None


def problems(check: Check, check_mode: bool = False) -> Iterator[Problem]:
    """Problems of all databases of a Check that has read the configuration.

    What the host lacks in check mode, a task before this one would have brought, as the packages of a database that is new.
    """
    if check.config is None:
        return
    program = check.config.settings.get("libexec_dir", LIBEXEC_DIR) + "/auth"
    for (driver, path), kinds in sorted(asked(check.config).items()):
        place = check.place(path)
        said = ask(check, program, configuration(driver, place, kinds, check.tree))
        found = list(complaints(said, path, place, check.content(path)))
        if not found and END not in said:
            check.warnings.append("%s could not be judged by Dovecot's auth process, which ended otherwise" % path)
        coming = [problem for problem in found if problem.absent and check_mode]
        check.warnings.extend(problem.message for problem in coming)
        yield from (problem for problem in found if problem not in coming)


def ask(check: Check, program: str, text: str) -> str:
    own = check.tree + "/auth.conf"
    with open(own, "w", encoding="utf-8") as stream:
        stream.write(text)
    try:
        # Away from the running Dovecot, whose sockets are named relative to its own folder.
        dummy, out, err = check.run(limited([program, "-c", own], SECONDS), cwd=check.tree)
    finally:
        os.unlink(own)
    return err + out
