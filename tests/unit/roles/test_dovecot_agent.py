"""What Pacemaker learns of Dovecot: by its greetings, on real sockets, and by what systemd says."""

from __future__ import annotations

import json
import socket
import subprocess
import threading
import time
import xml.etree.ElementTree as ET

import pytest
from programs import program

agent = program("active_passive", "dovecot_agent")


class Systemd:
    """Plays systemctl; C(state), what is-active says; C(said), what it was told."""

    def __init__(self):
        self.state, self.said, self.returncode, self.stops = "active", [], 0, True
        self.after_start = "active"

    def __call__(self, *words):
        if words[0] != "is-active":
            self.said.append(" ".join(words))
        if words[0] == "start":
            self.state = self.after_start
        if words[0] == "stop" and self.stops:
            self.state = "inactive"
        if words[0] == "reset-failed":
            self.state = "inactive"
        return subprocess.CompletedProcess(words, self.returncode, stdout=self.state + "\n", stderr="Job\nfailed.")


@pytest.fixture(autouse=True)
def systemd(monkeypatch):
    played = Systemd()
    monkeypatch.setattr(agent, "systemctl", played)
    monkeypatch.setattr(agent, "PATIENCE", 0.3)
    monkeypatch.setattr(agent, "LAST_PATIENCE", 0.2)
    monkeypatch.setattr(agent, "POLL", 0.01)
    return played


@pytest.fixture
def listening():
    """Starts servers that greet so, None for silence; gives the agent's settings."""
    sockets = []

    def serve(server, greetings):
        kept = []
        while True:
            try:
                client, _address = server.accept()
            except OSError:
                return
            kept.append(client)  # so that silence is no end of the connection
            greeting = greetings.pop(0) if len(greetings) > 1 else greetings[0]
            if greeting:
                client.sendall(greeting)

    def start(*servers):
        ports = []
        for greetings in servers:
            server = socket.create_server(("127.0.0.1", 0))
            sockets.append(server)
            ports.append(server.getsockname()[1])
            threading.Thread(target=serve, args=[server, list(greetings)], daemon=True).start()
        return agent.Settings("127.0.0.1", ports)

    yield start
    for server in sockets:
        server.shutdown(socket.SHUT_RDWR)
        server.close()


@pytest.fixture
def nowhere():
    """Settings with a port at which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    return agent.Settings("127.0.0.1", [port])


IMAP, LMTP, SILENT, SILENT_ONCE = [b"* OK ready\r\n"], [b"220 ready\r\n"], [None], [None, b"* OK ready\r\n"]


def test_a_dovecot_that_greets_is_well_whatever_systemd_says(listening, systemd):
    systemd.state = "reloading"
    assert agent.monitor(listening(IMAP, LMTP)) == agent.SUCCESS


def test_a_busy_moment_ends_no_sessions(listening):
    assert agent.monitor(listening(IMAP, SILENT_ONCE)) == agent.SUCCESS


def test_a_dovecot_that_hangs_has_failed_and_it_is_told_which_port_is_silent(listening, capsys):
    settings = listening(IMAP, SILENT)
    began = time.monotonic()
    assert agent.monitor(settings) == agent.ERROR
    assert time.monotonic() - began < 2
    assert capsys.readouterr().err == (
        f"ocf-exit-reason:no greeting at port {settings.ports[1]} within 0.3 s, twice (dovecot.service is active)\n"
    )


def test_a_port_that_refuses_while_dovecot_is_active_has_failed(nowhere):
    assert agent.monitor(nowhere) == agent.ERROR


@pytest.mark.parametrize("state", ["inactive", "failed", "unknown", ""])
def test_a_dovecot_that_was_stopped_does_not_run_and_has_not_failed(state, nowhere, systemd):
    systemd.state = state
    assert agent.monitor(nowhere) == agent.NOT_RUNNING


def test_a_start_ends_with_the_greetings(listening, systemd):
    systemd.state = "inactive"
    assert agent.start(listening(SILENT_ONCE, LMTP)) == agent.SUCCESS
    assert systemd.said == ["start dovecot.service"]


def test_a_start_that_systemd_refuses(nowhere, systemd, capsys):
    systemd.returncode = 1
    assert agent.start(nowhere) == agent.ERROR
    assert capsys.readouterr().err == "ocf-exit-reason:systemctl start dovecot.service failed: Job failed.\n"


def test_a_dovecot_that_dies_at_its_start_is_not_waited_for(nowhere, systemd, capsys):
    systemd.after_start = "failed"
    assert agent.start(nowhere) == agent.ERROR
    assert "dovecot.service has ended right after its start" in capsys.readouterr().err


def test_a_dovecot_that_greets_is_stopped_in_order(listening, systemd):
    assert agent.stop(listening(IMAP)) == agent.SUCCESS
    assert systemd.said == ["stop dovecot.service"]


def test_a_dovecot_that_hangs_is_killed_since_it_would_only_be_waited_for(listening, systemd):
    assert agent.stop(listening(SILENT)) == agent.SUCCESS
    assert systemd.said == ["kill --signal=KILL dovecot.service", "stop dovecot.service"]


def test_what_is_stopped_already_is_left_alone(nowhere, systemd):
    systemd.state = "inactive"
    assert agent.stop(nowhere) == agent.SUCCESS
    assert systemd.said == []


def test_a_dovecot_that_failed_counts_as_stopped_and_may_start_again(nowhere, systemd):
    systemd.state = "failed"
    assert agent.stop(nowhere) == agent.SUCCESS
    assert systemd.said == ["reset-failed dovecot.service"]


def test_a_dovecot_that_does_not_stop_is_told_so_that_the_node_is_fenced(nowhere, systemd):
    systemd.stops, systemd.state = False, "deactivating"
    assert agent.stop(nowhere) == agent.ERROR


def test_pacemaker_gets_metadata_that_name_all_actions(capsys):
    assert agent.main(["meta-data"]) == agent.SUCCESS
    root = ET.fromstring(capsys.readouterr().out)
    assert {action.get("name") for action in root.iter("action")} == {*agent.ACTIONS, "meta-data"}


@pytest.mark.parametrize("words", [[], ["promote"]])
def test_other_actions_are_not_implemented(words):
    assert agent.main(words) == agent.UNIMPLEMENTED


def test_the_ports_come_from_the_file_that_the_role_writes(listening, monkeypatch, tmp_path):
    settings = listening(IMAP)
    (tmp_path / "agent.json").write_text(json.dumps({"address": settings.address, "ports": settings.ports}))
    monkeypatch.setattr("node_program.SETTINGS", tmp_path)
    assert agent.main(["monitor"]) == agent.SUCCESS
