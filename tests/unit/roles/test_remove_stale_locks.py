"""Lock files that a node left when it died are removed, and nothing else."""

from __future__ import annotations

import os

import pytest
from programs import program

locks = program("active_passive", "remove_stale_locks")

START = 1_000_000.0
LEFT = [
    "alice/mdbox/mailboxes/INBOX/dbox-Mails/dovecot.index.log.lock",
    "alice/mdbox/storage.lock/dovecot.lock",
    "alice/.dovecot.sieve.lock",
    "alice/Maildir/dovecot-uidlist.lock",
    "alice/Maildir/subscriptions.lock",
    "alice/sdbox/.subscriptions.lock",
]
OTHERS = [
    "alice/mdbox/mailboxes/INBOX/dbox-Mails/dovecot.index",
    "alice/notes.lock",
    "alice/Maildir/cur/dovecot.lock",
    "alice/Maildir/new/dovecot.lock",
    "alice/mdbox/storage/dovecot.map.lock",
]


@pytest.fixture
def mail(tmp_path, monkeypatch):
    """Files that were changed right before this Dovecot was started."""
    monkeypatch.setattr(locks, "started_at", lambda: START)
    for name in [*LEFT, *OTHERS]:
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
        os.utime(file, (START - 1, START - 1))
    return tmp_path


def remaining(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_what_is_older_than_this_dovecot_goes_and_is_told(mail, capsys):
    locks.main(str(mail))
    assert remaining(mail) == set(OTHERS)
    assert sorted(capsys.readouterr().out.splitlines()) == sorted(
        f"removed {mail / name}, which a node that died has left" for name in LEFT
    )


def test_the_locks_of_this_dovecot_stay(mail):
    held = mail / LEFT[0]
    os.utime(held, (START, START))
    locks.main(str(mail))
    assert held.exists()


def test_a_lock_that_its_owner_has_removed_meanwhile_is_no_error(mail, monkeypatch):
    monkeypatch.setattr(locks, "stale", lambda folder, before: iter([str(mail / "gone.lock")]))
    locks.main(str(mail))
    assert remaining(mail) == {*LEFT, *OTHERS}
