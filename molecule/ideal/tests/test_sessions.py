"""Sessions that were open before a reload of the directors: a deployment cuts none, and a flush ends them all."""

from __future__ import annotations

import imaplib
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from clients import eventually, must

SESSIONS = 8
KICKED = 4  # seconds; director_user_kick_delay is 2
NOTICED = 20  # seconds, for what only the monitor can end


@pytest.fixture
def sessions(clients, users):
    """Sessions of one user, through both directors."""
    opened = [clients.connect_imap(users["a"][0]) for _number in range(SESSIONS)]
    yield opened
    for connection in opened:
        connection.shutdown()


@pytest.fixture
def backend(sessions, nodes, users, lab_is_whole):
    """Where the user is; afterwards it takes users again."""
    director = nodes.of("dovecot_directors")[0]
    place = director.doveadm("director", "status", users["a"][0], "a")[0]["status"]
    yield next(node for node in nodes.pair_of("a") if node.address == place)
    director.run("doveadm director up %s", place)
    eventually(lab_is_whole, 30, "a whole cluster", interval=1)


def alive(connection):
    try:
        return connection.noop()[0] == "OK"
    except (OSError, imaplib.IMAP4.error):
        return False


def left(sessions):
    return [connection for connection in sessions if alive(connection)]


def take_down(backend, nodes):
    nodes.of("dovecot_directors")[0].run(
        "doveadm director down %s && doveadm director flush %s", backend.address, backend.address
    )


def test_a_deployment_cuts_none_and_a_flush_right_after_it_ends_them_all(sessions, backend, nodes, ansible):
    for value in ("14 min", "15 min"):
        done = ansible("site.yml", "--limit", "dovecot_directors", "-e", f'{{"dovecot_director_user_expire": "{value}"}}')
        assert done.returncode == 0, done.stdout[-2000:]
    assert len(left(sessions)) == SESSIONS, "a deployment has cut sessions"
    take_down(backend, nodes)
    eventually(lambda: not left(sessions), KICKED, "the end of all sessions at the flushed backend")


def test_sessions_of_users_whom_the_ring_has_forgotten_end_too(sessions, backend, nodes):
    """All directors reloaded at once, by hand: what they knew of users is gone."""
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda node: node.run("systemctl reload dovecot"), nodes.of("dovecot_directors")))
    eventually(
        lambda: all("ring synced" in node.run("doveadm director ring status") for node in nodes.of("dovecot_directors")),
        20,
        "a ring in sync",
    )
    assert len(left(sessions)) == SESSIONS
    take_down(backend, nodes)
    eventually(lambda: not left(sessions), NOTICED, "the end of all sessions at the flushed backend")


def test_who_is_assigned_to_a_backend_that_only_went_down_is_left_there(sessions, backend, nodes):
    nodes.of("dovecot_directors")[0].run("doveadm director down %s", backend.address)
    time.sleep(8)  # two looks of the monitor
    assert len(left(sessions)) == SESSIONS
    must(sessions[0].select("INBOX"))
