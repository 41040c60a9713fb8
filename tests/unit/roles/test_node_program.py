"""What the programs of a node share."""

from __future__ import annotations

import pytest
from programs import program as load


class Ended(Exception):
    pass


def test_a_trouble_is_told_once_until_it_is_another_or_over(monkeypatch, capsys):
    module = load("server", "node_program")
    troubles = ["no pipe", "no pipe", "", "no pipe", "full"]

    def step():
        if not troubles:
            raise Ended
        if trouble := troubles.pop(0):
            raise OSError(trouble)

    monkeypatch.setattr(module.time, "sleep", lambda _seconds: None)
    with pytest.raises(Ended):
        module.repeat(step, 1, "waits")
    assert capsys.readouterr().err.splitlines() == ["waits: no pipe", "waits: no pipe", "waits: full"]
