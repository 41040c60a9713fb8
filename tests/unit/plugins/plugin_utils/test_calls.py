"""A run that would do nothing is told by the way in which it was called."""

from __future__ import annotations

import pytest

from ansible_collections.mailcluster.dovecot.plugins.plugin_utils import _calls

GROUPS = {"dovecot_cluster": ["a1", "a2"], "web": ["web1"]}


def said(hosts=("a1",), tags=("all",), own_tags=("always",)):
    return list(_calls.problems(GROUPS, {"ansible_play_hosts_all": list(hosts), "ansible_run_tags": list(tags)}, own_tags))


@pytest.mark.parametrize(
    "call",
    [
        {},
        {"tags": ["config"]},
        {"tags": ["users", "verify"]},
        {"tags": ["mail"], "own_tags": ["mail"]},
        {"hosts": ["web1", "a2"]},
    ],
)
def test_a_run_that_does_something_is_let_through(call):
    assert said(**call) == []


@pytest.mark.parametrize(
    ("call", "expected"),
    [({"hosts": ["web1"]}, "--limit: web1 not in dovecot_cluster"), ({"tags": ["dovecot"]}, "--tags: no task has dovecot")],
)
def test_one_that_does_nothing_is_refused(call, expected):
    assert [line for line in said(**call) if line.startswith(expected)]
