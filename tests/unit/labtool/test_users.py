"""Reading the files of Ansible's password lookup."""

from __future__ import annotations

import pytest

from labtool.users import plaintext


@pytest.mark.parametrize(
    ("content", "password"),
    [
        ("s3cret salt=abcdefgh\n", "s3cret"),
        ("s3cret salt=abcdefgh ident=2b\n", "s3cret"),
        ("s3cret\n", "s3cret"),
        ("s3,cret:-._ salt=x", "s3,cret:-._"),
    ],
)
def test_plaintext(content, password):
    assert plaintext(content) == password
