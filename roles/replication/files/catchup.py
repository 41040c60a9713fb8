# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Full synchronisation of this node's share of the users with the partner.

Replication works on events, and an event can be missed; `doveadm replicator replicate -f` makes no full pass either. So every
night each user is compared as a whole. Both nodes must be up for that, so each takes half of the users, spread evenly over the
given time.

A user counts as repaired when the two nodes had other folders, messages or unread marks before, and what was on its way then (a
change takes half a second) did not settle it.

A user of whom nothing can be said is named and keeps nobody else from it. One who was removed meanwhile is no failure; one whom
the user database still lists, and does not find when it is asked for them, is.

A database that lists a part of its users only (a directory with a size limit) is told of, and these are synchronised.

Exit status: 0 all synchronised, 1 some failed (named in the log), or the list of users is not known to be whole.
"""

from __future__ import annotations

import subprocess
import sys
import time
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

from node_program import complaint, doveadm, settings_of

CONTENTS = "messages unseen uidnext uidvalidity guid"
SETTLE = 2  # seconds
PARTLY = 2  # doveadm sync: mailboxes changed meanwhile, once more is enough
NO_USER = 67  # doveadm: there is no such user
# what becomes of a user, beside an error's text
SYNCHRONISED, REPAIRED, NOT_REPLICATED = "synchronised", "repaired", "not replicated"
NOT_FOUND = "the user database lists this user, but does not find them: doveadm user NAME, journalctl -u dovecot"


@dataclass(frozen=True)
class Settings:
    spread: int  # seconds
    share: int  # 0 or 1
    parameters: list[str]  # of doveadm sync
    # address:port. doveadm asks the partner by itself; it has no way to do so by TLS, and then it is empty and only what came
    # here is seen
    partner: str


def listed() -> tuple[set[str], str]:
    """The users that the database lists, and the error text, empty when these are all."""
    listing = doveadm("user", "*")
    return {user for user in listing.stdout.split("\n") if user}, error_of(listing)


def error_of(done: subprocess.CompletedProcess[str]) -> str:
    if done.returncode == NO_USER:
        return NOT_FOUND
    return complaint(done) if done.returncode else ""


def contents(user: str, *where: str) -> list[str] | None:
    """What a node has of the user, as text that can be compared; None when it does not tell."""
    status = doveadm("-f", "tab", "mailbox", "status", "-u", user, *where, CONTENTS, "*")
    return sorted(status.stdout.split("\n")) if status.returncode == 0 else None


class CatchUp:
    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def is_mine(self, user: str) -> bool:
        return zlib.crc32(user.encode()) % 2 == self.settings.share

    def look_at(self, user: str) -> str:
        """What becomes of the user."""
        field = doveadm("user", "-f", "noreplicate", "--", user)
        if error_of(field):
            return error_of(field)
        if field.stdout.strip():
            return NOT_REPLICATED  # doveadm sync would end in a panic
        error, broken = self.repair(user)
        if broken:
            print(f"repaired: {user}", flush=True)
        return error or (REPAIRED if broken else SYNCHRONISED)

    def differs(self, user: str) -> bool:
        """Whether the partner has something else, now and after a while."""
        for pause in (0, SETTLE):
            time.sleep(pause)
            if contents(user) == contents(user, "-S", self.settings.partner):
                return False
        return True

    def repair(self, user: str) -> tuple[str, bool]:
        """The error text as of synchronise, and whether there was something to repair."""
        if self.settings.partner:
            broken = self.differs(user)
            error = self.synchronise(user)
        else:
            before = contents(user)
            error = self.synchronise(user)
            broken = before != contents(user)
        return error, broken and not error

    def synchronise(self, user: str) -> str:
        """The error text, empty when user is now the same on both nodes."""
        for _attempt in range(3):
            sync = doveadm("sync", "-u", user, "-f", *self.settings.parameters)
            if sync.returncode != PARTLY:
                break
        return error_of(sync)

    def look_at_all(self, share: Sequence[str], spread: float) -> dict[str, str]:
        """User to what became of them."""
        start, found = time.monotonic(), {}
        for number, user in enumerate(share):
            time.sleep(max(0, start + spread * number / len(share) - time.monotonic()))
            found[user] = self.look_at(user)
        # a second try for those that failed, when whatever was in the way may be over
        for user in [user for user in share if found[user] not in (SYNCHRONISED, REPAIRED, NOT_REPLICATED)]:
            found[user] = self.look_at(user)
        return found

    def run(self, *, now: bool) -> int:
        start = time.monotonic()
        users, cut = listed()
        if cut:
            print(
                f"incomplete: doveadm user '*' lists {len(users)} users and fails, so that others may be left out. Is there a "
                f"size limit in the directory? Raise it for Dovecot's account. {cut}",
                flush=True,
            )
        found = self.look_at_all(sorted(filter(self.is_mine, users)), 0 if now else self.settings.spread)
        gone = {user for user in found if found[user] == NOT_FOUND}
        if gone:
            users, unsure = listed()
            gone = set() if unsure else gone - users
        counts = {kind: list(found.values()).count(kind) for kind in (SYNCHRONISED, REPAIRED, NOT_REPLICATED)}
        failed = [user for user in found if found[user] not in counts and user not in gone]
        for user in failed:
            print(f"failed: {user}: {found[user]}", flush=True)
        for user in sorted(gone):
            print(f"gone: {user}: removed from the user database meanwhile", flush=True)
        print(
            f"full synchronisation: {counts[SYNCHRONISED] + counts[REPAIRED]} users synchronised, {len(failed)} failed, "
            f"{counts[REPAIRED]} repaired, {int(time.monotonic() - start)} s"
        )
        return 1 if failed or cut else 0


def main() -> int:
    return CatchUp(Settings(**settings_of("catchup"))).run(now="--now" in sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
