# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The director's backends: parse what doveadm says, plan what to tell it.  Pure but for C(wait_synced)."""

from __future__ import annotations

from ansible_collections.mailcluster.dovecot.plugins.module_utils._doveadm import OutputError, RingNotSynced

POLL = 0.2  # seconds


def parse_backends(rows):
    """Host to C(tag), C(weight), C(state) and C(users), from the rows of C(director status)."""
    try:
        return {
            row["mail server ip"]: {
                "tag": "" if row["tag"] == "-" else row["tag"],
                "weight": int(row["vhosts"]),
                "state": row["state"],
                "users": int(row["users"]),
            }
            for row in rows
        }
    except (KeyError, ValueError, TypeError) as error:
        raise OutputError("'director status' is not understood (%r): %r" % (error, rows))


def ring_is_synced(rows):
    """Whether this director agrees with the ring: only its own row, of type C(self), says so."""
    return any(row.get("type") == "self" and row.get("status") == "ring synced" for row in rows)


def wait_synced(doveadm, timeout):
    """Returns when the ring is in sync, raises RingNotSynced after I(timeout) seconds."""
    deadline = doveadm.clock() + timeout
    while True:
        rows = doveadm.rows("director", "ring", "status")
        if ring_is_synced(rows):
            return
        if doveadm.clock() >= deadline:
            raise RingNotSynced(
                "the ring is not in sync after %s s: %s. Is every director of the inventory running and able to reach "
                "the ring port of the others? See 'doveadm director ring status' on each"
                % (timeout, "; ".join("%s %s" % (row.get("director ip", "?"), row.get("status", "?")) for row in rows)))
        doveadm.sleep(POLL)


def kept_by_operator(backend):
    """A drained host (weight 0) or one that is down was made so by somebody: not ours to undo."""
    return backend["weight"] == 0 or backend["state"] != "up"


def plan(desired, current, exclusive=False):
    """The commands (words after C(doveadm director)) that lead from I(current) to I(desired).

    I(desired): host to C(tag) and C(weight).  I(current): as of C(parse_backends).
    """
    commands = []
    for host, backend in desired.items():
        full_name = "%s@%s" % (host, backend["tag"]) if backend["tag"] else host
        live = current.get(host)
        if live is not None and live["tag"] != backend["tag"]:
            # doveadm refuses to change a tag; the new entry keeps an operator's zero
            commands.append(["remove", host])
            commands.append(["add", full_name, 0 if live["weight"] == 0 else backend["weight"]])
            if live["state"] != "up":
                commands.append(["down", host])
        elif live is None:
            commands.append(["add", full_name, backend["weight"]])
        elif live["weight"] != backend["weight"] and not kept_by_operator(live):
            commands.append(["update", host, backend["weight"]])
    if exclusive:
        commands.extend(["remove", host] for host in current if host not in desired)
    return commands


def apply_plan(commands, current, desired):
    """What I(current) becomes through I(commands): for check mode and the diff."""
    after = {host: dict(backend) for host, backend in current.items()}
    for words in commands:
        host = words[1].split("@")[0]
        if words[0] == "remove":
            after.pop(host, None)
        elif words[0] == "add":
            after[host] = {"tag": desired[host]["tag"], "weight": int(words[2]), "state": "up", "users": 0}
        elif words[0] == "update":
            after[host]["weight"] = int(words[2])
        elif words[0] == "down":
            after[host]["state"] = "down"
    return after


def as_lines(backends):
    """One line a host, for the diff; the number of users is no setting and left out."""
    return "".join(
        "%s tag=%s weight=%d %s\n" % (host, backend["tag"] or "-", backend["weight"], backend["state"])
        for host, backend in sorted(backends.items())
    )
