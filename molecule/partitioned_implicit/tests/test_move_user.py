"""A user moves to another backend while everything goes on."""

from __future__ import annotations

import re

import pytest
from interruptions import interrupt
from moves import assert_moved, counted_at, move, move_until

USER = "alice@example.org"


@pytest.fixture(scope="module", autouse=True)
def at_home_again(ansible):
    """At the end Alice is where the inventory has her, and old copies are gone."""
    yield
    done = move(ansible, USER, "a", "-e", "dovecot_move_confirmed=true")
    assert done.returncode == 0, done.stdout[-3000:]


@pytest.fixture
def homes(nodes):
    """The name of the backend where Alice is, and the partition to which she is to move."""
    [home] = [node.name for node in nodes.of("dovecot_backends") if USER in node.run("doveadm user '*'").split()]
    return home, "b" if home == "a1" else "a"


@pytest.mark.first
@pytest.mark.parametrize("entry", ["a1", "c1"])
def test_nothing_is_lost_or_doubled_when_a_user_moves_under_load(entry, homes, clients, nodes, ansible):
    home, partition = homes
    assert_moved(clients, nodes, ansible, USER, home, partition, nodes[entry].address, ["-e", "dovecot_move_confirmed=true"])


@pytest.mark.parametrize(
    "task",
    [
        "Copy the mail while the old home serves",
        "Copy the rest",
        "Change the database",
        "Remove the mark of the move from the old home",
    ],
)
def test_a_move_that_was_interrupted_goes_on(task, homes, clients, nodes, ansible):
    _home, partition = homes
    _output, status = move_until(task, interrupt, USER, partition)
    assert status != 0
    assert_a_move_is_finished(clients, nodes, ansible, partition)


def assert_a_move_is_finished(clients, nodes, ansible, partition):
    done = move(ansible, USER, partition, "-e", "dovecot_move_confirmed=true")
    assert done.returncode == 0, done.stdout[-3000:]
    message_id = clients.deliver(USER, host=nodes["c1"].address)
    assert clients.has(USER, message_id, host=nodes["a1"].address)
    assert counted_at(nodes[f"{partition}1"], USER)[message_id.strip("<>")] == 1
    assert not left_of_a_move(nodes, "a1", "b1", "c1")


@pytest.mark.parametrize(
    ("user", "database", "way"), [("grace@example.org", "sqlite", ["a", "c"]), ("heidi@example.org", "mysql", ["b", "c"])]
)
def test_a_user_of_another_database_moves_and_comes_back(user, database, way, clients, nodes, ansible):
    message_id = clients.deliver(user, host=nodes["a1"].address)
    for partition in reversed(way):
        done = move(ansible, user, partition, "-e", f"dovecot_move_database={database}", "-e", "dovecot_move_confirmed=true")
        assert done.returncode == 0, done.stdout[-3000:]
        assert clients.has(user, message_id, host=nodes["a1"].address)
        assert [node.name for node in nodes.of("dovecot_backends") if user in node.run("doveadm user '*'").split()] == [
            f"{partition}1"
        ]


def test_in_which_database_a_user_is_has_to_be_right(nodes, ansible):
    done = move(ansible, "heidi@example.org", "c")
    output = re.sub(r"\s+", " ", done.stdout)
    assert done.returncode != 0 and "If the user is in another database, name that one in dovecot_move_database" in output
    assert not left_of_a_move(nodes, "a1", "c1")


def left_of_a_move(nodes, *names):
    return "".join(
        nodes[name].run(f"cat /etc/dovecot/{file}.passwd") for name in names for file in ("held-users", "moving-users")
    ).strip()


def test_a_node_that_dies_during_the_hold_does_not_keep_the_user_held_on_the_others(homes, clients, nodes, ansible, lab_node):
    _home, partition = homes
    output, status = move_until("Refuse the user's logins", lambda _process: lab_node.kill(nodes["c1"]), USER, partition)
    words = re.sub(r"\s+", " ", output)
    assert status != 0 and "c1 cannot be reached. Fix that, and run again" in words, output[-3000:]
    assert "Logins and deliveries go to the home in the database again, but not at c1" in words
    message_id = clients.deliver(USER, host=nodes["a1"].address)
    assert clients.has(USER, message_id, host=nodes["b1"].address)
    lab_node.start(nodes["c1"])
    assert_a_move_is_finished(clients, nodes, ansible, partition)


def test_a_login_that_may_not_change_the_database_is_refused_before_the_user_is_held(homes, nodes, ansible):
    _home, partition = homes
    for wrong in (["-e", "dovecot_move_password=wrong"], ["-e", "dovecot_move_login=dovecot"]):
        done = move(ansible, USER, partition, *wrong)
        output = re.sub(r"\s+", " ", done.stdout)
        assert done.returncode != 0 and "refused to change the home of alice@example.org, and the user was not moved" in output
        assert "Refuse the user's logins" not in output
        assert not left_of_a_move(nodes, "a1", "b1", "c1")


def test_moving_where_the_user_is_already_changes_nothing(homes, ansible):
    home, _partition = homes
    done = move(ansible, USER, home.removesuffix("1"))
    assert done.returncode == 0, done.stdout[-3000:]
    assert set(re.findall(r"changed=(\d+)", done.stdout)) == {"0"}


REFUSALS = {
    "no user": ([], "dovecot_move_user: not set"),
    "an unknown user": (
        ["-e", "dovecot_move_user=nobody@example.org", "-e", "dovecot_move_to=b"],
        "no backend knows nobody@example.org",
    ),
    "an unknown partition": (["-e", f"dovecot_move_user={USER}", "-e", "dovecot_move_to=z"], "z is no partition"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_a_move_is_refused(case, ansible):
    arguments, words = REFUSALS[case]
    done = ansible("move_user.yml", *arguments)
    output = re.sub(r"\s+", " ", done.stdout)
    assert done.returncode != 0 and words in output and "nothing was changed" in output


def test_check_mode_tells_and_changes_nothing(homes, ansible):
    home, partition = homes
    done = move(ansible, USER, partition, "--check")
    assert done.returncode == 0, done.stdout[-3000:]
    assert f"{USER} would be moved from {home} to {partition}1" in done.stdout
    assert set(re.findall(r"changed=(\d+)", done.stdout)) == {"0"}
