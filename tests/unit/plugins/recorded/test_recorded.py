"""The modules against what the real doveadm said (README.md here tells how that was recorded).

Each case stands in words in the file of its module. It is run in check mode, for real, and once more; the
fake doveadm fails on a call that was not recorded, and on one that was recorded and is not made.
"""

from __future__ import annotations

import difflib
import importlib.util
import json
from pathlib import Path

import pytest

from ansible_collections.mailcluster.dovecot.plugins.module_utils._doveadm import Doveadm, DoveadmError, failure

_spec = importlib.util.spec_from_file_location("replay", Path(__file__).with_name("replay.py"))
replay = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(replay)

CASES = replay.load_cases()
RUNS = [(case, run) for case in CASES for run in case.get("runs", ["check", "real", "again"])]


def named(value):
    return f"{value['module']}: {value['name']}" if isinstance(value, dict) else value


@pytest.fixture
def perform(tmp_path):
    """A function that replays a case's run, and those real runs that came before it on the same node."""

    def run_one(case, run):
        calls = json.loads(replay.transcript_of(case, run).read_text())
        world = replay.Replay(calls)
        result = replay.perform(case, world, run == "check", tmp_path)
        world.finish()
        json.dumps(result)  # what a module returns can be sent
        return result, calls

    def run(case, wanted):
        runs = case.get("runs", ["check", "real", "again"])
        for earlier in runs[: runs.index(wanted)]:
            run_one(case, earlier)
        return run_one(case, wanted)

    return run


@pytest.mark.parametrize("case, run", RUNS, ids=named)
def test_case(case, run, perform):
    result, calls = perform(case, run)

    written = [call["argv"] for call in calls if replay.is_write(call["argv"])]
    if run == "check":
        assert written == [], "check mode changed something"
    if "error" in case:
        assert result.get("error") == case["error"], result
        for words in case["says"]:
            assert words in result["msg"]
    else:
        assert "msg" not in result, result["msg"]
    if run == "again":
        assert result["changed"] is False, f"the second run changed something: {result}"
        # what a flush, a kick or a repair finds, only doing it tells
        only_told = case["params"].get("kick") or case["params"].get("flush") or case["module"] == "mailbox_maintenance"
        assert written == [] or only_told, f"the second run wrote: {written}"
        return
    for key, value in case.get("expect", {}).items():
        # in check mode the future of what is counted by the server is not known
        if run != "check" or key not in ("failed_users", "changes"):
            assert result[key] == value, key
    if "diff" in case:
        lines = list(
            difflib.unified_diff(result["diff"]["before"].splitlines(), result["diff"]["after"].splitlines(), lineterm="", n=0)
        )[2:]
        assert set(case["diff"]) <= set(lines), lines
    if "users" in case:
        assert sorted(result["users"]) == case["users"]
    for key, value in case.get("ring", {}).items():
        assert result["ring"][key] == value


@pytest.mark.parametrize("case", [case for case in CASES if case.get("expect", {}).get("changed")], ids=named)
def test_every_changing_case_is_run_in_check_mode_too(case):
    assert "check" in case.get("runs", ["check"]) or "error" in case, "add check to its runs"


def test_no_transcript_is_left_without_its_case():
    kept = set(replay.TRANSCRIPTS.glob("*/*.json"))
    assert {replay.transcript_of(case, run) for case, run in RUNS} == kept


@pytest.mark.parametrize("module", sorted({case["module"] for case in CASES}))
def test_a_call_too_many_or_too_few_is_noticed(module):
    case = next(case for case in CASES if case["module"] == module and "error" not in case)
    run = case.get("runs", ["check"])[0]
    calls = json.loads(replay.transcript_of(case, run).read_text())
    with pytest.raises(AssertionError, match="not recorded"):
        replay.perform(case, replay.Replay(calls[:-1]), run == "check", "/nonexistent")
    world = replay.Replay(calls + calls[:1])
    replay.perform(case, world, run == "check", "/nonexistent")
    with pytest.raises(AssertionError, match="not called"):
        world.finish()


ERRORS = {call["name"]: call for call in json.loads(replay.ERRORS.read_text())}


@pytest.mark.parametrize("case", replay.load_errors(), ids=lambda case: case["name"])
def test_what_a_failure_of_doveadm_means(case):
    call = ERRORS[case["name"]]
    assert call["rc"] == case["rc"]
    error = failure(call["argv"], call["rc"], call["stdout"], call["stderr"])
    assert error.details() == {key: call[key] for key in ("argv", "rc", "stdout", "stderr")} | {"error": case["error"]}
    assert "\n" not in str(error).strip() and "backtrace" not in str(error)


@pytest.mark.parametrize("case", [case for case in replay.load_errors() if case["rc"] == 0], ids=lambda case: case["name"])
def test_a_complaint_counts_though_the_exit_status_is_0(case):
    call = ERRORS[case["name"]]
    doveadm = Doveadm(replay.Replay([call]), clock=lambda: 0)
    with pytest.raises(DoveadmError):
        doveadm.run(*call["argv"][1:])


def test_a_time_that_is_over_is_told_by_the_status_of_timeout():
    assert failure(["doveadm", "director", "status"], 124, "", "").details()["error"] == "timed_out"
