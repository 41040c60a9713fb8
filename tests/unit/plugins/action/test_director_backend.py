"""director_backend on the controller: a drain in slices."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from ansible_collections.mailcluster.dovecot.plugins.action import director_backend
from ansible_collections.mailcluster.dovecot.plugins.action.director_backend import ActionModule

UPDATE, FLUSH = ["update", "198.51.100.31", "0"], ["flush", "198.51.100.31"]
DIFF = {"before": "100", "after": "0"}


def waiting(left, commands=()):
    return {
        "failed": True,
        "error": "timed_out",
        "changed": bool(commands),
        "commands": list(commands),
        "diff": DIFF,
        "remaining": left,
        "counted": "sessions",
    }


def done(*commands):
    return {"changed": bool(commands), "commands": list(commands), "diff": {}}


@pytest.fixture
def drain(monkeypatch):
    """A function: what came of a drain, what the module was told, and what was shown."""
    clock = SimpleNamespace(now=0.0)
    shown = []
    monkeypatch.setattr(director_backend.time, "monotonic", lambda: clock.now)
    monkeypatch.setattr(director_backend.display, "display", shown.append)

    def run(answers, check_mode=False, **args):
        calls = []

        def execute(module_name, module_args, task_vars):
            calls.append(module_args)
            clock.now += module_args["drain_timeout"] if isinstance(module_args.get("drain_timeout"), int) else 0
            return answers.pop(0)

        action = object.__new__(ActionModule)
        action._task = SimpleNamespace(args={"host": "198.51.100.31", "state": "drained", **args}, check_mode=check_mode)
        action._execute_module = execute
        monkeypatch.setattr(director_backend.ActionBase, "run", lambda *_args: {})
        result = action.run(task_vars={"inventory_hostname": "director1"})
        assert not answers
        return result, [(call.get("drain_timeout"), call.get("flush")) for call in calls], shown

    return run


def test_it_is_over_when_nobody_has_a_session(drain):
    result, calls, shown = drain([waiting(2, [UPDATE]), waiting(1), done(FLUSH)], flush="kick")
    assert calls == [(5, "none")] * 3
    assert shown == [
        "director1: 2 of its sessions left on 198.51.100.31, 55 s to go",
        "director1: 1 of its sessions left on 198.51.100.31, 50 s to go",
    ]
    assert (result["changed"], result["commands"], result["diff"]) == (True, [UPDATE, FLUSH], DIFF)


def test_who_is_left_when_the_time_is_over_is_kicked(drain):
    result, calls, _shown = drain([waiting(2, [UPDATE]), waiting(2), done(FLUSH)], flush="kick", drain_timeout=7)
    assert calls == [(5, "none"), (2, "none"), (0, "kick")]
    assert result["commands"] == [UPDATE, FLUSH]
    assert "failed" not in result


def test_without_a_flush_it_fails(drain):
    result, calls, _shown = drain([waiting(2, [UPDATE]), waiting(2)], drain_timeout=10)
    assert calls == [(5, "none"), (5, "none")]
    assert (result["failed"], result["changed"], result["remaining"]) == (True, True, 2)


def test_any_other_failure_ends_it(drain):
    result, calls, _shown = drain([waiting(2, [UPDATE]), {"failed": True, "error": "ring_not_synced"}], flush="kick")
    assert len(calls) == 2
    assert (result["error"], result["changed"]) == ("ring_not_synced", True)


@pytest.mark.parametrize(
    "given", [{"state": "up"}, {"drain_timeout": 0}, {"check_mode": True}, {"drain_timeout": "soon"}, {"drain_timeout": "²"}]
)
def test_what_does_not_wait_is_one_call_as_it_was_given(given, drain):
    result, calls, _shown = drain([done(UPDATE)], **given)
    assert calls == [(given.get("drain_timeout"), None)]
    assert result["commands"] == [UPDATE]
