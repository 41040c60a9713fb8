"""What follows from the number of sessions of a node."""

from __future__ import annotations

import pytest

from ansible_collections.mailcluster.dovecot.plugins.plugin_utils._sizing import MORE_PORTS, raised, sizing

BACKEND = ["server", "backend", "replication"]
DIRECTOR = ["server", "director"]


def memory(text):
    number, unit = text.split()
    assert unit == "M"
    return int(number) << 20


def test_a_backend_of_5000_sessions():
    found = sizing(5000, BACKEND, cores=4)
    assert found == {
        "sessions": 5000,
        "login_processes": 4,
        "login_clients": 2750,
        "login_memory": "944 M",
        "processes": {"lmtp": 100, "imap": 5000, "pop3": 5000, "managesieve": 500},
        "everyone": 11612,
        "stats_memory": "619 M",
        "sessions_of_one_client": 500,
        "files": 65535,
        "tasks": 23224,
        "kernel": {
            "net.core.somaxconn": 5000,
            "fs.file-max": 371584,
            "kernel.pid_max": 55992,
            "kernel.threads-max": 55992,
            "fs.inotify.max_user_instances": 6000,
            "fs.inotify.max_user_watches": 80000,
        },
    }


def test_a_node_that_stores_no_mail_has_no_mail_processes_and_no_inotify():
    found = sizing(10000, DIRECTOR, cores=4)
    assert found["processes"] == {"lmtp": 200}
    assert not any("inotify" in name for name in found["kernel"])


def test_what_is_not_served_has_no_processes():
    found = sizing(5000, BACKEND, 4, ["imap", "lmtp"])
    assert found["processes"] == {"lmtp": 100, "imap": 5000}
    assert found["everyone"] == 5100 + 4 + 1000, "of its logins, too"
    assert sizing(10000, DIRECTOR, 4, ["pop3", "lmtp"])["processes"] == {"lmtp": 200}


@pytest.mark.parametrize("roles", [BACKEND, DIRECTOR, [*BACKEND, "proxy"]])
@pytest.mark.parametrize("cores", [1, 2, 4, 64, 256])
@pytest.mark.parametrize("sessions", [100, 999, 5000, 10000, 100000])
def test_everybody_fits(sessions, cores, roles):
    found = sizing(sessions, roles, cores)
    logins = found["login_processes"] * found["login_clients"]
    assert 2 <= found["login_processes"] <= 16
    assert logins > 2 * sessions, "somebody who checks the node is not greeted when it is full"
    assert found["login_clients"] * 97 << 10 < memory(found["login_memory"]), "a login process ends for want of memory"
    assert found["everyone"] > sum(found["processes"].values()) + 3 * found["login_processes"]
    assert found["everyone"] * 14 << 10 < memory(found["stats_memory"])
    assert found["files"] > max(2 * found["login_clients"], found["everyone"])
    assert found["kernel"].get("fs.inotify.max_user_instances", sessions + 1) > sessions
    assert sizing(str(sessions), roles, cores) == found


@pytest.mark.parametrize(
    ("sessions", "roles", "widened"),
    [(27000, DIRECTOR, False), (28000, DIRECTOR, True), (28000, ["loadbalancer"], True), (28000, BACKEND, False)],
)
def test_there_are_ports_for_what_is_passed_on(sessions, roles, widened):
    assert ("net.ipv4.ip_local_port_range" in sizing(sessions, roles)["kernel"]) == widened


@pytest.mark.parametrize(
    ("value", "ours", "is_set"),
    [
        ("128", False, True),
        ("6000", False, False),
        ("8192", False, False),  # somebody wants it so
        ("6000", True, True),  # the second run
        ("11000", True, True),  # our own of a time with more sessions
        ("9223372036854775807", False, False),
    ],
)
def test_the_kernel_is_given_what_it_lacks(value, ours, is_set):
    needed = {"fs.inotify.max_user_instances": 6000}
    present = {"fs.inotify.max_user_instances": {"value": value, "ours": ours}}
    assert raised(needed, present) == (needed if is_set else {})


def test_what_the_kernel_does_not_know_is_not_set():
    assert raised({"fs.inotify.max_user_instances": 6000}, {}) == {}


@pytest.mark.parametrize(("present", "is_set"), [("32768\t60999", True), (MORE_PORTS, False), ("1024\t65000", False)])
def test_a_range_that_is_wider_is_left_alone(present, is_set):
    name = "net.ipv4.ip_local_port_range"
    assert bool(raised({name: MORE_PORTS}, {name: {"value": present, "ours": False}})) == is_set
