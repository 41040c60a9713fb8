# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is to be done with users at a node's replicator."""

from __future__ import annotations

from ansible_collections.mailcluster.dovecot.plugins.module_utils import _replicator, _users, _values
from ansible_collections.mailcluster.dovecot.plugins.module_utils._doveadm import (
    Doveadm,
    DoveadmError,
    InvalidValue,
    SyncFailed,
    TimedOut,
    UserUnknown,
)
from ansible_collections.mailcluster.dovecot.plugins.module_utils._replicator import User
from ansible_collections.mailcluster.dovecot.plugins.module_utils._replicator_client import Replicator
from ansible_collections.mailcluster.dovecot.plugins.module_utils._types import Params, Result

POLL = 0.5  # seconds
APPEAR = 3  # seconds
Users = dict[str, User]


def check(params: Params) -> None:
    _values.mask_of("user", params["user"])
    if params["max_age"] < 0:
        raise InvalidValue("max_age: %d is below 0: give seconds, 0 for a synchronisation in any case" % params["max_age"])
    if params["full"] and params["state"] != "synchronised":
        raise InvalidValue("full: goes with state: synchronised only; a user who is new is compared as a whole anyway")
    if params["wait"] and params["state"] == "absent":
        raise InvalidValue("wait: does not go with state: absent, there is nothing to wait for")


def expected(doveadm: Doveadm, user: str, known: Users) -> list[str]:
    """Who is meant: those of the user database; who is only known to the replicator is about to leave it."""
    try:
        return _users.matching(doveadm, [user])
    except UserUnknown:
        if user in known:
            return []
        raise


def to_change(params: Params, meant: list[str], known: Users) -> list[str]:
    """Those of I(meant) who are not in the wanted state."""
    if params["state"] == "present":
        return [name for name in meant if name not in known]
    # an age is never below 0
    max_age = params["max_age"] or -1
    return [
        name
        for name in meant
        if name not in known or not _replicator.is_asked(known[name], max_age, params["full"], params["priority"])
    ]


def tell(replicator: Replicator, params: Params, names: list[str], known: Users) -> None:
    """One call for all of a mask where the replicator takes one."""
    is_mask = _values.is_mask(params["user"])
    if params["state"] == "present":
        for mask in [params["user"]] if is_mask else names:
            replicator.add(mask)
        return
    if params["full"]:
        for name in names:
            if name in known:
                replicator.remove(name)
            replicator.add(name)
        if params["priority"] == "low":
            return
    elif is_mask and set(known) <= set(names):
        replicator.replicate(params["user"], params["priority"])
        # of masks the replicator looks at those only whom it knows
        names = [name for name in names if name not in known]
    for name in names:
        replicator.replicate(name, params["priority"])


def wait_done(
    doveadm: Doveadm, replicator: Replicator, params: Params, meant: list[str], asked: list[str], began: float
) -> Users:
    """The users, when nothing of I(meant) waits or is at work and all of I(asked) have had their pass."""
    wanted = set(meant)
    while True:
        known = replicator.users(params["user"])
        since = doveadm.clock() - began
        waiting = {name for name in wanted & set(known) if known[name].priority != "none"}
        # a mask is added in the background, and a user who is gone again is not to be replicated
        waiting |= {
            name
            for name in asked
            if (name in known and not _replicator.is_done(known[name], since)) or (name not in known and since < APPEAR)
        }
        if not waiting:
            waiting = wanted & {connection["user"] for connection in replicator.connections()}
        if not waiting:
            # a pass that ended between the two questions is in the first answer with its former state
            return replicator.users(params["user"])
        if not doveadm.left():
            raise TimedOut(
                "after %d s %d of %d users still wait for their synchronisation: %s. Raise timeout, or see "
                "doveadm replicator dsync-status for what is at work" % (since, len(waiting), len(wanted), _values.named(waiting))
            )
        doveadm.sleep(POLL)


def absent(doveadm: Doveadm, replicator: Replicator, params: Params, known: Users, check_mode: bool) -> list[str]:
    """Forgets the users and tells which of them will be back."""
    if not known and not _values.is_mask(params["user"]):
        _users.matching(doveadm, [params["user"]])  # refuses a name that nobody has
    returns: list[str] = []
    for name in sorted(known):
        try:
            if _users.is_replicated(doveadm, name):
                returns.append(name)
        except UserUnknown:
            pass
        except DoveadmError:
            returns.append(name)  # when the database can be asked again
        if not check_mode:
            replicator.remove(name)
    return returns


def converge(doveadm: Doveadm, params: Params, check_mode: bool) -> Result:
    """The module's result."""
    check(params)
    replicator = Replicator(doveadm, params["socket_path"])
    known = replicator.users(params["user"])
    if params["state"] == "absent":
        returns = absent(doveadm, replicator, params, known, check_mode)
        return result(params, known, {}, sorted(known), returns=returns)

    meant = expected(doveadm, params["user"], known)
    if not _values.is_mask(params["user"]) and meant and meant != [params["user"]]:
        # the database writes the name in another way, and so does the replicator
        params = dict(params, user=meant[0])
        known = replicator.users(meant[0])
    # one with noreplicate would be dropped again by the replicator, and be added by each run
    wanted = to_change(params, meant, known)
    new, broken = _users.replicated(doveadm, [name for name in wanted if name not in known])
    names = [name for name in wanted if name in known or name in new]
    after = dict(known)
    began = doveadm.clock()
    if not check_mode and names:
        tell(replicator, params, names, known)
    if broken:
        raise SyncFailed(
            "%d of %d users cannot be looked up: %s; the others were told. Fix their entries in the user database"
            % (len(broken), len(meant), "; ".join("%s: %s" % item for item in sorted(broken.items())[:5])),
            {"failed_users": sorted(broken)},
        )
    if check_mode:
        after.update({name: forecast(params, known.get(name)) for name in names})
        return result(params, known, after, names)
    if not params["wait"]:
        return result(params, known, replicator.users(params["user"]) if names else known, names)
    after = wait_done(doveadm, replicator, params, meant, names, began)
    failed = sorted(name for name in meant if name in after and after[name].failed)
    if failed:
        raise SyncFailed(
            "the synchronisation of %d of %d users failed: %s. Is the partner up and reachable? See journalctl -u "
            "dovecot on both nodes; the replicator tries again after five minutes"
            % (len(failed), len(meant), _values.named(failed)),
            {"failed_users": failed},
        )
    return result(params, known, after, names, failed_users=[])


def forecast(params: Params, user: User | None) -> User:
    """What a user's state would be just after the replicator was told."""
    if user is None or params["full"]:
        user = User("none", None, None, None, False)
    return user._replace(priority=params["priority"]) if params["state"] == "synchronised" else user


def result(params: Params, before: Users, after: Users, names: list[str], **more: list[str]) -> Result:
    told = names if _values.is_mask(params["user"]) else after
    return dict(
        more,
        **{
            "changed": bool(names),
            "users": {name: _replicator.as_dict(after[name]) for name in told if name in after},
            "changed_users": names,
            "diff": {"before": lines(before, names), "after": lines(after, names)},
        },
    )


def lines(users: Users, names: list[str]) -> str:
    """The diff is about those who change."""
    return "".join("%s: %s\n" % (name, in_words(users[name]) if name in users else "not known") for name in sorted(names))


def in_words(user: User) -> str:
    success = "no success yet" if user.success is None else "last success %d s ago" % user.success
    full = "no full pass yet" if user.full is None else "last full pass %d s ago" % user.full
    return ", ".join(["priority %s" % user.priority, success, full] + (["failed"] if user.failed else []))
