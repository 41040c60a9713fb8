"""The file of users who are held: one line each, whatever their letters, and nobody else's is touched."""

from __future__ import annotations

from ansible_collections.mailcluster.dovecot.plugins.module_utils._user_hold import entry, held, with_user, without_user

BOB = entry("bob@example.org")


def test_a_user_is_held_once():
    text = with_user(BOB, "Alice@example.org")
    assert held(text) == ["bob@example.org", "alice@example.org"]
    assert with_user(text, "alice@example.org") == text


def test_a_line_that_says_something_else_of_the_user_is_replaced():
    assert with_user("bob@example.org:::::::x\n", "bob@example.org") == BOB


def test_a_user_is_released_and_others_stay():
    assert without_user(BOB + entry("bob@example.orga"), "BOB@example.org") == entry("bob@example.orga")
    assert without_user(BOB, "nobody@example.org") == BOB
