# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Asks and tells the ring, through the director of this node.  Any director will do: they share all they know."""

from __future__ import annotations

from collections.abc import Iterable

from ansible_collections.mailcluster.dovecot.plugins.module_utils import _director
from ansible_collections.mailcluster.dovecot.plugins.module_utils._director import Assigned, Backend, Place, Ring, Session, Words
from ansible_collections.mailcluster.dovecot.plugins.module_utils._doveadm import (
    Doveadm,
    HostUnknown,
    RingNotSynced,
    TryAgain,
    not_understood,
)

POLL = 0.2  # seconds
# How users leave their backends: their sessions are cut, or only forgotten.
FLUSH: dict[str, Words] = {"kick": ["flush"], "forget": ["flush", "-F"]}
# Moving a user takes the director_user_kick_delay, and only some are moved at a time.
FLUSH_LIMIT = 600  # seconds


class Director:
    def __init__(self, doveadm: Doveadm, socket_path: str | None = None) -> None:
        self._doveadm = doveadm
        self._socket: Words = ["-a", socket_path] if socket_path else []

    def _words(self, command: Words, *values: str | int) -> Words:
        return ["director"] + command + self._socket + list(values)

    # --- reading -----------------------------------------------------------------------------------

    def ring(self) -> Ring:
        return _director.parse_ring(self._doveadm.rows(*self._words(["ring", "status"])))

    def wait_synced(self) -> Ring:
        """The ring, once it is in sync; RingNotSynced when the time given is over before that.

        A director that has just started tells its file's state until then.
        """
        while True:
            ring = self.ring()
            if ring["synced"]:
                return ring
            if not self._doveadm.left():
                raise RingNotSynced(
                    "the ring is not in sync: this director (%s) says '%s', and of the others %s. Is every director of the "
                    "ring running and able to reach the ring port of the others? See 'doveadm director ring status' on each"
                    % (ring["self"] or "not in its own ring", ring["status"], _seen(ring))
                )
            self._doveadm.sleep(POLL)

    def backends(self) -> dict[str, Backend]:
        return _director.parse_backends(self._doveadm.rows(*self._words(["status"])))

    def user(self, user: str, tag: str) -> Place:
        """Where the director sends I(user) of I(tag); an all-digit name would be taken for a hash."""
        return self.place_of(self.user_hash(user) if user.isdigit() else user, tag)

    def place_of(self, user_or_hash: str, tag: str) -> Place:
        return _director.parse_user(self._doveadm.rows(*self._words(["status"], "--", user_or_hash, tag)))

    def user_hash(self, user: str) -> str:
        rows = self._doveadm.rows("director", "map", "-u", "--", user)
        try:
            return rows[0]["hash"]
        except (LookupError, TypeError):
            raise not_understood("doveadm director map -u", rows)

    def map(self, host: str | None = None) -> list[Assigned]:
        """C((user, hash, host)) of everybody who is assigned to I(host), or to any."""
        words = self._words(["map"], *([host] if host else []))
        return self._doveadm.rows(*words, as_row=_director.map_row)

    def sessions(self) -> list[Session]:
        """The sessions that go through this director; those of the others only they know."""
        return _director.parse_sessions(self._doveadm.rows("proxy", "list"))

    def out_of_reach(self) -> int:
        """The number of sessions through this director that it could not end now.

        After a reload the login processes of before are to connect to the director again. Where that fails they try again
        after ten seconds only, and a flush, a move or a kick in between leaves their sessions where they are.
        """
        table = self._doveadm.output_of("ss", "-Htnp", "state", "established")
        return max(0, _director.login_connections(table, self.backends()) - len(self.sessions()))

    # --- writing -----------------------------------------------------------------------------------

    def tell(self, words: Words, limit: float | None = None) -> str:
        """One change of the ring, tried again while something else is in its way.

        The director answers when the ring has agreed. If that took too long for it (30 s), the change may be done
        or not: telling it once more is right in both cases.
        """
        command, values = split(words)
        again = False
        while True:
            try:
                return self._doveadm.write(*self._words(command, *values), limit=limit)
            except (TryAgain, RingNotSynced):
                if not self._doveadm.left():
                    raise
            except HostUnknown:
                if again and command == ["remove"]:
                    return ""
                raise
            again = True
            self._doveadm.sleep(POLL)
            self.wait_synced()

    # --- users off their backends ------------------------------------------------------------------

    def flush(self, how: str, host: str | None = None) -> int:
        """Sends the users of I(host), or of all, where the ring would send them now; how many were elsewhere or are free."""
        before = places(self.map(host))
        if before:
            self.tell(FLUSH[how] + [host or "all"], FLUSH_LIMIT)
        return len(before - places(self.map(host)))

    def would_flush(self, how: str, backends: dict[str, Backend], host: str | None = None) -> int:
        """The number of users that C(flush) would move; of a host that takes users, each is looked up."""
        found = 0
        for user_hash, place in places(self.map(host)):
            backend = backends.get(place)
            if backend is None:
                continue
            if how == "forget" or _director.takes_no_users(backend):
                found += 1
            else:
                found += self.place_of(user_hash, backend["tag"])["hashed"] != place
        return found


def split(words: Words) -> tuple[Words, Words]:
    """The command, behind which the socket is named, and its values."""
    length = 2 if words[0] == "ring" else 1
    return list(words[:length]), list(words[length:])


def places(rows: Iterable[Assigned]) -> set[tuple[str, str]]:
    """The (hash, host) pairs of a map; users of the same hash are one to the director."""
    return {(user_hash, host) for _user, user_hash, host in rows}


def _seen(ring: Ring) -> str:
    others = [
        "%s '%s'" % (director["address"], connection["status"])
        for director in ring["directors"]
        for connection in director["connections"]
    ]
    return ", ".join(others) or "none is connected"
