"""A user moves to another backend while everything goes on."""

from __future__ import annotations

import re

import pytest
from moves import assert_moved, counted_at, interrupt, move

USER = "alice@example.org"


@pytest.fixture
def at_home(ansible):
    """Alice lives on a1; afterwards she does again, and old copies are gone."""
    yield USER
    done = move(ansible, USER, "a", "-e", "dovecot_move_confirmed=true")
    assert done.returncode == 0, done.stdout[-3000:]


@pytest.mark.parametrize("entry", ["a1", "c1"])
def test_nothing_is_lost_or_doubled_when_a_user_moves_under_load(entry, at_home, clients, nodes, ansible):
    assert_moved(clients, nodes, ansible, USER, "a1", "b", nodes[entry].address)


@pytest.mark.parametrize("after", [
    "Copy while the old home serves", "Refuse the user's logins", "Copy the rest", "Change the database",
    "Forget where the user was", "Put the old copy aside"])
def test_a_move_that_was_interrupted_goes_on(after, at_home, clients, nodes, ansible):
    interrupt(USER, "b", after)
    assert_moved_after_an_interruption(clients, nodes, ansible)


def assert_moved_after_an_interruption(clients, nodes, ansible):
    done = move(ansible, USER, "b")
    assert done.returncode == 0, done.stdout[-3000:]
    message_id = clients.deliver(USER, host=nodes["c1"].address)
    assert clients.has(USER, message_id, host=nodes["a1"].address)
    assert counted_at(nodes["b1"], USER)[message_id.strip("<>")] == 1
    for node in ("a1", "b1", "c1"):
        for file in ("held-users", "moving-users"):
            assert nodes[node].run(f"cat /etc/dovecot/{file}.passwd").strip() == ""


def test_a_database_that_refuses_leaves_the_user_held_and_the_next_run_goes_on(at_home, clients, nodes, ansible):
    done = move(ansible, USER, "b", "-e", "dovecot_move_password=wrong")
    assert done.returncode != 0
    assert_moved_after_an_interruption(clients, nodes, ansible)


def test_moving_where_the_user_is_already_changes_nothing(at_home, ansible):
    done = move(ansible, USER, "a")
    assert done.returncode == 0, done.stdout[-3000:]
    assert set(re.findall(r"changed=(\d+)", done.stdout)) == {"0"}


REFUSALS = {
    "no user": ([], "dovecot_move_user: not set"),
    "an unknown user": (["-e", "dovecot_move_user=nobody@example.org", "-e", "dovecot_move_to=b"],
                        "no backend knows nobody@example.org"),
    "an unknown partition": (["-e", f"dovecot_move_user={USER}", "-e", "dovecot_move_to=z"], "z is no partition"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_a_move_is_refused(case, ansible):
    arguments, words = REFUSALS[case]
    done = ansible("move_user.yml", *arguments)
    output = re.sub(r"\s+", " ", done.stdout)
    assert done.returncode != 0 and words in output and "nothing was changed" in output


def test_check_mode_tells_and_changes_nothing(ansible, nodes):
    done = move(ansible, USER, "b", "--check")
    assert done.returncode == 0, done.stdout[-3000:]
    assert f"{USER} would be moved from a1 to b1" in done.stdout
    assert set(re.findall(r"changed=(\d+)", done.stdout)) == {"0"}
