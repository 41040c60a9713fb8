"""DRBD's two copies of the mail are compared, and what differs is copied again."""

from __future__ import annotations

import pytest
from programs import program

compare = program("active_passive", "compare_copies")


def status(connection, differing=0):
    """As DRBD 8.4 tells it."""
    return (
        "version: 8.4.11 (api:1/proto:86-101)\nsrcversion: 5A4F43804B37BB28FCB1F47\n"
        f" 0: cs:{connection} ro:Primary/Secondary ds:UpToDate/UpToDate C r-----\n"
        f"    ns:6176 nr:0 dw:6176 dr:3249 al:9 bm:0 lo:0 pe:0 ua:0 ap:0 ep:1 wo:f oos:{differing}\n"
    )


STOPPED = "version: 8.4.11 (api:1/proto:86-101)\n 0: cs:Unconfigured\n"


@pytest.mark.parametrize(
    ("text", "connection", "differing"),
    [
        (status("Connected"), "Connected", 0),
        (status("VerifyS", 8), "VerifyS", 8),
        (status("WFConnection", 1024), "WFConnection", 1024),
        (STOPPED, "Unconfigured", 0),
        ("", "Unconfigured", 0),
    ],
)
def test_what_drbd_tells(text, connection, differing):
    assert (compare.connection(text), compare.differing(text)) == (connection, differing)


@pytest.fixture
def run(monkeypatch):
    """Compares while DRBD tells this, one after the other; gives the exit status and what drbdadm was told."""
    monkeypatch.setattr(compare, "INTERVAL", 0)

    def call(*texts):
        left, said = list(texts), []
        monkeypatch.setattr(compare, "read", lambda: left.pop(0))
        monkeypatch.setattr(compare, "drbdadm", lambda *words: said.append(" ".join(words)))
        return compare.main("mail"), said

    return call


def test_copies_that_are_the_same_stay_connected(run, capsys):
    assert run(status("Connected"), status("VerifyS"), status("VerifyS"), status("Connected")) == (0, ["verify mail"])
    assert capsys.readouterr().out == "both copies are the same\n"


def test_what_differs_is_told_and_copied_by_a_new_connection(run, capsys):
    done = run(status("Connected"), status("VerifyS", 4), status("Connected", 8))
    assert done == (1, ["verify mail", "disconnect mail", "connect mail"])
    assert capsys.readouterr().out.startswith("8 KiB differ, and are copied to the passive node now")


def test_without_a_connection_nothing_is_compared(run, capsys):
    assert run(status("WFConnection", 8)) == (1, [])
    assert capsys.readouterr().out == "not compared: DRBD is WFConnection, not Connected\n"


def test_a_comparison_that_was_interrupted_is_no_result(run, capsys):
    assert run(status("Connected"), status("VerifyS"), status("WFConnection", 8)) == (1, ["verify mail"])
    assert capsys.readouterr().out == "the comparison was interrupted: DRBD is WFConnection\n"
