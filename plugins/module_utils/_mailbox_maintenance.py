# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is done to mailboxes, user by user."""

from __future__ import annotations

from typing import Any, Literal, Protocol, TypedDict

from ansible_collections.mailcluster.dovecot.plugins.module_utils import _mailbox, _users, _values
from ansible_collections.mailcluster.dovecot.plugins.module_utils._doveadm import (
    Doveadm,
    DoveadmError,
    InvalidValue,
    MaintenanceFailed,
    TimedOut,
    UserUnknown,
    refuse_failure,
)
from ansible_collections.mailcluster.dovecot.plugins.module_utils._types import Params, Result

COUNTS = "messages unseen vsize uidvalidity uidnext"
Found = dict[str, Any]


class Change(TypedDict):
    """What was found before and after."""

    before: Found
    after: Found | str


Changes = dict[str, dict[str, Change]]  # by user and action


class Action(Protocol):
    predictable: bool

    @staticmethod
    def look(doveadm: Doveadm, user: str, mailbox_mask: str, /) -> Found: ...

    @staticmethod
    def run(doveadm: Doveadm, user: str, mailbox_mask: str, /) -> None: ...


def is_mdbox(doveadm: Doveadm, user: str) -> bool:
    return _mailbox.format_of(_users.userdb_field(doveadm, user, "mail")) == "mdbox"


class Purge:
    """Messages that no mailbox has any more take space until they are purged."""

    predictable = True

    @staticmethod
    def look(doveadm: Doveadm, user: str, _mailbox_mask: str) -> Found:
        if not is_mdbox(doveadm, user):
            return {"expunged": 0}
        path = _mailbox.parse_path(doveadm.rows("mailbox", "path", "-u", user, "-t", "index", "INBOX"))
        argv, rc, stdout, stderr = doveadm.attempt("dump", "-t", "index", _mailbox.map_of(path))
        if rc != 0 and "Couldn't open index" in stderr:
            # a user who never had mail has no storage yet
            return {"expunged": 0}
        refuse_failure(argv, rc, stdout, stderr)
        return {"expunged": _mailbox.parse_unreferenced(stdout)}

    @staticmethod
    def run(doveadm: Doveadm, user: str, _mailbox_mask: str) -> None:
        doveadm.run("purge", "-u", user)


class QuotaRecalc:
    predictable = False

    @staticmethod
    def look(doveadm: Doveadm, user: str, _mailbox_mask: str) -> Found:
        return _mailbox.parse_quota(doveadm.rows("quota", "get", "-u", user))

    @staticmethod
    def run(doveadm: Doveadm, user: str, _mailbox_mask: str) -> None:
        doveadm.run("quota", "recalc", "-u", user)


class ForceResync:
    predictable = False

    @staticmethod
    def look(doveadm: Doveadm, user: str, mailbox_mask: str) -> Found:
        return _mailbox.parse_status(doveadm.rows("mailbox", "status", "-u", user, COUNTS, "--", mailbox_mask))

    @staticmethod
    def run(doveadm: Doveadm, user: str, mailbox_mask: str) -> None:
        # the storage of an mdbox is rebuilt as a whole, once for each mailbox that is named
        named = "INBOX" if mailbox_mask == "*" and is_mdbox(doveadm, user) else mailbox_mask
        # what it complains about is what it repairs
        doveadm.run("force-resync", "-u", user, "--", named, complaints=True)


ACTIONS: dict[str, type[Action]] = {"force_resync": ForceResync, "quota_recalc": QuotaRecalc, "purge": Purge}


def maintain(doveadm: Doveadm, name: str, user: str, mailbox_mask: str, check_mode: bool) -> Change | None:
    """What the action changed, or would; None when that is nothing."""
    action = ACTIONS[name]
    before = action.look(doveadm, user, mailbox_mask)
    if action.predictable and not any(before.values()):
        return None
    if not action.predictable and not before:
        # no mailbox of the mask, or no quota
        return None
    if check_mode:
        return {"before": before, "after": {key: 0 for key in before} if action.predictable else "known after it has run"}
    action.run(doveadm, user, mailbox_mask)
    after = action.look(doveadm, user, mailbox_mask)
    return None if after == before else {"before": before, "after": after}


def maintain_user(doveadm: Doveadm, params: Params, user: str, check_mode: bool, changes: Changes) -> None:
    """Notes in I(changes) what each action, in the order of C(ACTIONS), found before and after where it changed something."""
    for name in ACTIONS:
        if name in params["actions"]:
            change = maintain(doveadm, name, user, params["mailbox"], check_mode)
            if change:
                doveadm.changed = doveadm.changed or not check_mode
                changes.setdefault(user, {})[name] = change


def converge(doveadm: Doveadm, params: Params, check_mode: bool) -> Result:
    """The module's result."""
    for mask in params["users"]:
        _values.mask_of("users", mask)
    _values.mask_of("mailbox", params["mailbox"])
    if not params["actions"]:
        raise InvalidValue("actions: is empty: name at least one of %s" % ", ".join(ACTIONS))
    users = _users.matching(doveadm, params["users"])
    changes: Changes = {}
    failed: dict[str, str] = {}
    unknown: dict[str, str] = {}
    for user in users:
        try:
            maintain_user(doveadm, params, user, check_mode, changes)
        except UserUnknown as error:
            unknown[user] = str(error)
        except DoveadmError as error:
            failed[user] = str(error)
        if not doveadm.left():
            raise TimedOut(
                "the time given was over after %s, the %d. of %d users: raise timeout and run it again, what was "
                "done is done" % (user, users.index(user) + 1, len(users))
            )
    if unknown:
        # who was removed meanwhile needs no maintenance
        listed = _users.matching(doveadm, ["*"])
        failed.update({user: error for user, error in unknown.items() if user in listed})
    found = {"users": len(users), "changes": changes, "failed_users": failed}
    if failed:
        raise MaintenanceFailed(
            "failed for %d of %d users: %s"
            % (len(failed), len(users), "; ".join("%s: %s" % item for item in sorted(failed.items())[:5])),
            found,
        )
    return dict(found, changed=bool(changes), diff={"before": lines(changes, "before"), "after": lines(changes, "after")})


def lines(changes: Changes, side: Literal["before", "after"]) -> str:
    return "".join(
        "%s %s: %s\n" % (user, name, change[side])
        for user, actions in sorted(changes.items())
        for name, change in sorted(actions.items())
    )
