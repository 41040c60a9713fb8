# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the replicator of a node says of its users."""

from __future__ import annotations

import time

from ansible_collections.mailcluster.dovecot.plugins.module_utils import _replicator, _values
from ansible_collections.mailcluster.dovecot.plugins.module_utils._doveadm import Doveadm, InvalidValue
from ansible_collections.mailcluster.dovecot.plugins.module_utils._replicator import Connection, User
from ansible_collections.mailcluster.dovecot.plugins.module_utils._replicator_client import Replicator
from ansible_collections.mailcluster.dovecot.plugins.module_utils._types import Clock, Params, Result

POLL = 0.5  # seconds


def waiting(users: dict[str, User], connections: list[Connection]) -> set[str]:
    """Names of those who are queued or at work, which the queue does not tell any more, and have not failed."""
    names = {name for name, user in users.items() if user.priority != "none"}
    names.update(connection["user"] for connection in connections)
    return {name for name in names if name in users and not users[name].failed}


def await_success(
    doveadm: Doveadm, replicator: Replicator, waiters: set[str], failed: set[str], lag: float
) -> tuple[list[str], list[str]]:
    """Those of I(waiters) and of I(failed) who have no success within I(lag) seconds and still wait, or have failed."""
    began = doveadm.clock()
    while (waiters or failed) and doveadm.clock() - began < lag:
        doveadm.sleep(POLL)
        users = replicator.users("*")
        since = doveadm.clock() - began
        late = {name for name, user in users.items() if user.success is None or user.success >= since}
        waiters &= waiting(users, replicator.connections()) & late
        failed &= {name for name in late if users[name].failed}
    return sorted(waiters) if lag else [], sorted(failed)


def unsynchronised(users: dict[str, User], since: int, now: float) -> list[str]:
    """Names of those without a success since I(since)."""
    return sorted(name for name, user in users.items() if user.success is None or int(now) - user.success < since)


def converge(doveadm: Doveadm, params: Params, _check_mode: bool, clock: Clock = time.time) -> Result:
    """The module's result."""
    mask = params["users"]
    if mask is not None:
        _values.mask_of("users", mask)
    if params["lag"] < 0:
        raise InvalidValue("lag: %d is below 0: give seconds, 0 to look for nobody" % params["lag"])
    replicator = Replicator(doveadm, params["socket_path"])
    now = clock()
    summary = replicator.summary()
    everybody = replicator.users("*")
    connections = replicator.connections()
    asked = None if mask is None else everybody if mask == "*" else replicator.users(mask)
    lagging, failed = await_success(
        doveadm,
        replicator,
        waiting(everybody, connections),
        {name for name, user in everybody.items() if user.failed},
        params["lag"],
    )
    return {
        "changed": False,
        "time": int(now),
        "summary": summary,
        "queued": sum(number for name, number in summary.items() if name.startswith("queued_")),
        "failed_users": failed,
        "unsynchronised_users": unsynchronised(everybody, params["since"], now),
        "lagging_users": lagging,
        "connections": connections,
        "users": None if asked is None else {name: _replicator.as_dict(user) for name, user in asked.items()},
    }
