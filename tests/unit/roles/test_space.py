"""A backend stops taking mail before its disk is full, and takes it again when there is room."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
from programs import program as load

G, DAY = 1 << 30, 86400


@pytest.fixture
def program(tmp_path):
    module = load("backend", "space")
    module.HISTORY, module.STATE = tmp_path / "history", tmp_path / "state"
    return module


@pytest.fixture
def space(program, tmp_path):
    return program.Space(
        program.Settings(
            mail="/var/vmail",
            reserve="1G",
            address="198.51.100.31",
            port=12346,
            partner="198.51.100.32",
            dsync_port=12347,
            gate=str(tmp_path / "gate"),
        )
    )


def disk(free, total=100 * G, inodes=1000, free_inodes=900):
    return SimpleNamespace(
        f_frsize=4096, f_blocks=total // 4096, f_bavail=free // 4096, f_bfree=free // 4096, f_files=inodes, f_favail=free_inodes
    )


@pytest.mark.parametrize(
    ("reserve", "total", "meant"),
    [("1G", 100 * G, G), ("512m", 100 * G, G / 2), ("5%", 100 * G, 5 * G), ("1073741824", 100 * G, G), ("1G", G, G / 10)],
)
def test_a_reserve_is_a_size_or_a_part_and_at_most_a_tenth_of_a_small_disk(program, reserve, total, meant):
    assert program.bytes_of(reserve, total) == meant


def test_mail_is_taken_again_with_a_quarter_more_than_the_reserve(program):
    is_low = program.is_low
    assert not is_low(disk(1.1 * G), "1G", was_low=False)
    assert is_low(disk(0.9 * G), "1G", was_low=False)
    assert is_low(disk(1.1 * G), "1G", was_low=True)
    assert not is_low(disk(1.3 * G), "1G", was_low=True)


def test_a_disk_without_inodes_is_full_and_one_that_does_not_count_them_is_not(program):
    assert program.is_low(disk(50 * G, free_inodes=9), "1G", was_low=False)
    assert not program.is_low(disk(50 * G, inodes=0, free_inodes=0), "1G", was_low=False)


def test_the_gate_is_written_at_each_change_and_sessions_of_before_end(program, space, monkeypatch, tmp_path):
    free, told, cut = [50 * G], [], []
    monkeypatch.setattr(program.os, "statvfs", lambda _path: disk(free[0]))
    monkeypatch.setattr(program.node_program, "doveadm", lambda *words, **_options: told.append(words))
    monkeypatch.setattr(program, "cut_off", lambda _partner, _port, low: cut.append(low))
    monkeypatch.setattr(program.time, "sleep", lambda _seconds: None)
    gate = tmp_path / "gate"
    space.look()
    assert gate.read_text() == "" and told == []
    free[0] = G // 2
    space.look()
    space.look()
    assert "lmtp:::::::userdb_tempfail=" in gate.read_text() and "imap:::::::userdb_quota2_rule=" in gate.read_text()
    assert told == [("kick", "*")]
    assert json.loads((tmp_path / "state").read_text())["low"]
    free[0] = 50 * G
    space.look()
    assert gate.read_text() == "" and len(told) == 1 and cut == [False, True, False]


def test_dsync_is_cut_off_in_both_directions_and_let_through_again(program, monkeypatch):
    told = []
    monkeypatch.setattr(program.subprocess, "run", lambda _argv, **options: told.append(options["input"]))
    for low in (True, False):
        program.cut_off("198.51.100.32", 12347, low=low)
    assert "ip saddr 198.51.100.32 tcp dport 12347 reject" in told[0] and "ip daddr 198.51.100.32" in told[0]
    assert told[1].splitlines() == ["table inet mailcluster_dovecot_space", "delete table inet mailcluster_dovecot_space"]


def test_the_day_on_which_it_is_full_follows_from_the_rate(program):
    full_on = program.full_on
    assert full_on([[0, 10 * G], [DAY, 11 * G]], 10 * G, DAY) == "1970-01-12"
    assert full_on([[0, 11 * G], [DAY, 10 * G]], 10 * G, DAY) is None
    assert full_on([[0, 10 * G]], 10 * G, 0) is None
