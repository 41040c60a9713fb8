#!/usr/bin/python
# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: mailbox_maintenance
short_description: Purge, resynchronise and recalculate mailboxes on this node
description:
  - Runs C(doveadm purge), C(force-resync) and C(quota recalc) for users of this node, one user after the other.
  - Replication copies mail only. Each node of a pair has indexes and storage of its own, so run it on each.
  - A user whose maintenance fails does not keep it from the others. The module fails at the end, with all names.
version_added: 0.1.0
author: mailcluster.dovecot contributors (@mailcluster)
extends_documentation_fragment:
  - mailcluster.dovecot.attributes
  - mailcluster.dovecot.attributes.platform
  - mailcluster.dovecot.doveadm
attributes:
  check_mode:
    support: partial
    details:
      - Whether a purge would remove anything is known exactly.
      - What V(quota_recalc) and V(force_resync) would find is not known before they run. They are announced as a change for
        every user.
  diff_mode:
    support: full
  idempotent:
    support: full
    details: A message that arrives during V(quota_recalc) or V(force_resync) counts as a change.
options:
  actions:
    description:
      - What to do, in this order.
      - V(force_resync) repairs mailboxes whose indexes are broken, V(quota_recalc) counts what they hold, V(purge) frees the
        space of expunged messages in mdbox files (other formats need none, and are never changed by it).
    type: list
    elements: str
    choices: [force_resync, quota_recalc, purge]
    required: true
  users:
    description: The users, as names or masks in which V(*) and V(?) stand for other characters.
    type: list
    elements: str
    default: ["*"]
  mailbox:
    description:
      - Which mailboxes V(force_resync) looks at, a name or a mask.
      - A user who has no mailbox of a given name fails, one who has none of a mask does not.
      - The storage of an mdbox is always rebuilt as a whole, with V(*) once only.
    type: str
    default: "*"
  timeout:
    description: How long the module may take in all, in seconds.
    type: int
    default: 3600
"""

EXAMPLES = r"""
- name: Free the space of expunged mail
  mailcluster.dovecot.mailbox_maintenance:
    actions: [purge]

- name: Repair the indexes of Alice, and count again
  mailcluster.dovecot.mailbox_maintenance:
    actions: [force_resync, quota_recalc]
    users: [alice@example.org]
"""

RETURN = r"""
users:
  description: How many users were looked after.
  returned: success and failure
  type: int
  sample: 4
changes:
  description: For users that were changed, what each action found before and after, by user and action.
  returned: success and failure
  type: dict
  sample: {"alice@example.org": {"purge": {"before": {"expunged": 2}, "after": {"expunged": 0}}}}
failed_users:
  description: What went wrong, by user.
  returned: success and failure
  type: dict
  sample: {}
"""

from typing import Any, Literal, Protocol, TypedDict

from ansible_collections.mailcluster.dovecot.plugins.module_utils import _mailbox, _module, _users, _values
from ansible_collections.mailcluster.dovecot.plugins.module_utils._doveadm import (
    Doveadm,
    DoveadmError,
    InvalidValue,
    MaintenanceFailed,
    TimedOut,
    UserUnknown,
    refuse_failure,
)
from ansible_collections.mailcluster.dovecot.plugins.module_utils._types import Options, Params, Result

OPTIONS: Options = {
    "actions": {"type": "list", "elements": "str", "choices": ["force_resync", "quota_recalc", "purge"], "required": True},
    "users": {"type": "list", "elements": "str", "default": ["*"]},
    "mailbox": {"type": "str", "default": "*"},
    "timeout": {"type": "int", "default": 3600},
}
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


def main() -> None:
    _module.run(converge, OPTIONS)


if __name__ == "__main__":
    main()
