"""A user who is listed and cannot be looked up keeps nobody else from what is done for all; a list that is cut is refused."""

from __future__ import annotations

import json

import pytest

from ansible_collections.mailcluster.dovecot.plugins.module_utils import _doveadm
from ansible_collections.mailcluster.dovecot.plugins.module_utils import _mailbox_maintenance as mailbox_maintenance
from ansible_collections.mailcluster.dovecot.plugins.module_utils import _replicator_user as replicator_user
from ansible_collections.mailcluster.dovecot.plugins.modules import user_info


class Node:
    """Alice is well; looking Bob up ends with I(rc)."""

    def __init__(self, rc, listings=(("alice", "bob"),)):
        self.rc = rc
        self.listings = list(listings)  # the last one stays
        self.told = []
        self.answer_of_list = None

    def doveadm(self):
        return _doveadm.Doveadm(lambda argv, _seconds: self.answer(argv[1:]))

    def answer(self, words):
        if words[:2] == ["user", "--"] and self.answer_of_list:
            return self.answer_of_list
        if words[:2] == ["user", "--"]:
            names = self.listings.pop(0) if len(self.listings) > 1 else self.listings[0]
            return 0, "".join(f"{name}\n" for name in names), ""
        if words[0] == "user":
            return (0, "", "") if words[-1] == "alice" else (self.rc, "", "userdb lookup failed")
        if words[:2] == ["-f", "json"] and words[2:4] == ["replicator", "status"]:
            return 0, "[]", ""
        self.told.append(" ".join(words))
        return 0, "", ""


def present(node):
    params = {
        "user": "*",
        "state": "present",
        "full": False,
        "priority": "low",
        "max_age": 60,
        "wait": False,
        "socket_path": None,
    }
    return replicator_user.converge(node.doveadm(), params, False)


def purge(node):
    params = {"actions": ["purge"], "users": ["*"], "mailbox": "*"}
    return mailbox_maintenance.converge(node.doveadm(), params, False)


def test_the_replicator_is_told_of_the_others_and_the_module_fails_with_the_name():
    node = Node(rc=75)
    with pytest.raises(_doveadm.SyncFailed, match="1 of 2 users cannot be looked up: bob: .*the others were told") as caught:
        present(node)
    assert node.told == ["replicator add -- *"]
    assert caught.value.details()["failed_users"] == ["bob"]


def test_maintenance_fails_with_the_name():
    with pytest.raises(_doveadm.MaintenanceFailed, match="failed for 1 of 2 users: bob: "):
        purge(Node(rc=75))


@pytest.mark.parametrize("work", [present, purge])
def test_who_was_removed_meanwhile_is_no_failure(work):
    json.dumps(work(Node(rc=67, listings=(["alice", "bob"], ["alice"]))))


@pytest.mark.parametrize("work, failure", [(present, _doveadm.SyncFailed), (purge, _doveadm.MaintenanceFailed)])
def test_who_is_listed_still_and_is_not_found_is_one(work, failure):
    with pytest.raises(failure, match="bob"):
        work(Node(rc=67))


def list_users(node):
    return user_info.converge(node.doveadm(), {"users": ["*"], "expected": []}, False)


@pytest.mark.parametrize("work", [present, purge, list_users])
def test_a_list_that_is_cut_is_not_taken_for_the_whole(work):
    node = Node(rc=0)
    node.answer_of_list = (
        75,
        "alice\n",
        ("Error: auth-master: userdb list: User listing returned failure\nFatal: user listing failed\n"),
    )
    with pytest.raises(_doveadm.UserListIncomplete, match="size limit .* must be raised for Dovecot's account"):
        work(node)
    assert node.told == []
