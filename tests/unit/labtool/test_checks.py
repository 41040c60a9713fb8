"""Which parts are run, beside each other, again or not at all, and what is told of them."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from labtool import beside, checks, inventory, paths, results, scenarios
from labtool.system import LabError


@pytest.fixture
def parts(monkeypatch, tmp_path):
    """A unit test and two scenarios, one of them with virtual machines; tells what was run. What is in failing fails."""
    ran, failing = [], set()

    def run(name, _settings, progress, _around):
        ran.append(name)
        return beside._kept(results.Result(name, results.FAILED if name in failing else results.PASSED, 7), progress)

    kinds = {"ideal": {"container"}, "nfs": {"vm"}}
    monkeypatch.setattr(checks, "names", lambda: ["unit", *kinds])
    monkeypatch.setattr(scenarios, "names", lambda: list(kinds))
    monkeypatch.setattr(scenarios, "kinds_of", kinds.__getitem__)
    monkeypatch.setattr(scenarios, "is_extra", lambda _name: False)
    monkeypatch.setattr(scenarios, "describe", lambda name: f"what {name} is")
    monkeypatch.setattr(beside, "_run_part", run)
    monkeypatch.setattr(beside, "_make", lambda kind, _progress: kind not in failing)
    monkeypatch.setattr(beside, "lock", lambda _verb: contextlib.nullcontext())
    monkeypatch.setattr(beside, "_prepared", lambda _at_once: contextlib.nullcontext())
    for name in ("LAB", "TESTS"):
        monkeypatch.setattr(paths, name, tmp_path)
    return ran, failing


def test_a_scenario_with_virtual_machines_is_left_out_when_asked_and_not_silently(parts, capsys):
    assert checks.test([], without_vms=True) == 0
    assert sorted(parts[0]) == ["ideal", "unit"]
    told = capsys.readouterr().out.splitlines()
    assert [line.split()[:3] for line in told if line.startswith("nfs")] == [["nfs", "left", "out"]]
    assert told[-1] == "2 passed, 0 failed, 1 left out (--without-vms)"


def test_nothing_is_left_out_unasked(parts, capsys):
    assert checks.test([]) == 0
    assert sorted(parts[0]) == ["ideal", "nfs", "unit"]
    assert capsys.readouterr().out.splitlines()[-1] == "3 passed, 0 failed"


def test_an_extra_scenario_runs_only_when_everything_does_or_by_its_name(parts, monkeypatch, capsys):
    monkeypatch.setattr(scenarios, "is_extra", lambda name: name == "nfs")
    for words, how, ran in (
        ([], {}, ["ideal", "unit"]),
        ([], {"everything": True}, ["ideal", "nfs", "unit"]),
        (["nfs"], {}, ["nfs"]),
    ):
        parts[0].clear()
        assert checks.test(words, **how) == 0
        assert sorted(parts[0]) == ran
        told = "Only './lab test --all' also runs: nfs" in "".join(capsys.readouterr())
        assert told == ("nfs" not in ran)


def test_of_the_scenarios_with_virtual_machines_only_one_runs_at_a_time(parts, monkeypatch):
    kinds = {"drbd": {"vm"}, "nfs": {"vm"}, "ideal": {"container"}, "single": {"container"}}
    monkeypatch.setattr(checks, "names", lambda: list(kinds))
    monkeypatch.setattr(scenarios, "names", lambda: list(kinds))
    monkeypatch.setattr(scenarios, "kinds_of", kinds.__getitem__)
    running, seen = set(), []

    def run(name, _settings, progress, _around):
        running.add(name)
        time.sleep(0.05)
        seen.append(frozenset(running))
        running.discard(name)
        return beside._kept(results.Result(name, results.PASSED, 7), progress)

    monkeypatch.setattr(beside, "_run_part", run)
    assert checks.test([], jobs=2) == 0
    assert set().union(*seen) == set(kinds)
    assert {"drbd", "nfs"} not in seen
    assert max(map(len, seen)) == 2


def test_one_taker_has_those_with_virtual_machines_from_the_beginning_and_the_other_none():
    queue = beside.Queue(["ideal", "drbd", "director", "nfs"], {"drbd", "nfs"})
    with ThreadPoolExecutor(1) as other:
        assert next(iter(queue)) == "drbd"
        assert other.submit(next, iter(queue)).result() == "ideal"
        assert list(queue) == ["nfs", "director"]
        assert other.submit(list, queue).result() == []


def test_after_an_interruption_no_scenario_starts():
    queue = beside.Queue(["ideal"], set())
    queue.clear()
    assert list(queue) == []


def test_a_scenario_whose_images_cannot_be_made_fails_and_the_others_run(parts, capsys):
    ran, failing = parts
    failing.add("vm")
    assert checks.test([]) == 1
    assert sorted(ran) == ["ideal", "unit"]
    told = capsys.readouterr()
    assert [line.split()[:2] for line in told.out.splitlines() if line.startswith("nfs")] == [["nfs", "FAILED"]]
    assert "nfs: not run, because its images could not be built" in told.err


def test_what_has_failed_is_run_again_and_nothing_else(parts, capsys):
    ran, failing = parts
    failing.add("ideal")
    assert checks.test([]) == 1
    ran.clear(), failing.clear()
    assert checks.test([], failed=True) == 0
    assert ran == ["ideal"]
    with pytest.raises(LabError, match="None of these parts failed"):
        checks.test([], failed=True)


def test_a_list_tells_what_there_is_and_how_long_it_took(parts, capsys):
    parts[1].add("unit")
    checks.test(["unit"])
    capsys.readouterr()
    assert checks.show() == 0
    told = [line.split(maxsplit=4) for line in capsys.readouterr().out.splitlines()]
    assert ["unit", "FAILED", "7", "0", "the unit tests"] in told
    assert ["ideal", "what", "ideal", "is"] in told


def test_of_each_scenario_its_first_sentence_is_told():
    assert all(len(scenarios.describe(name)) > 10 for name in scenarios.names())
    assert scenarios.describe("director") == "A ring of three directors and two replicated pairs"


def test_what_cannot_be_read_is_not_left_out(monkeypatch):
    def load(_variant):
        raise LabError("no")

    monkeypatch.setattr(inventory, "load", load)
    assert scenarios.kinds_of("shared_storage") == set()


def test_a_scenario_runs_on_the_variant_of_its_name_or_on_another():
    assert scenarios.variant_of("director") == "director"
    assert scenarios.variant_of("chaos") == "ideal"


def test_a_scenario_says_itself_that_it_is_extra():
    assert scenarios.is_extra("active_passive_san") and not scenarios.is_extra("active_passive")


def test_parts_run_in_processes_of_their_own_and_what_each_said_is_told_in_one_piece(monkeypatch, tmp_path, capfd):
    def run(command, stdout, **_more):
        name = command[-1].split(chr(39))[1]
        for line in range(3):
            stdout.write(f"{line} said by {name}\n")
            time.sleep(0.1)
        return subprocess.CompletedProcess(command, 1 if name == "unit" else 0)

    monkeypatch.setattr(beside.subprocess, "run", run)
    for name in ("LAB", "TESTS"):
        monkeypatch.setattr(paths, name, tmp_path)
    assert checks.test(["lint", "unit"]) == 1
    told = capfd.readouterr().out
    for name in ("lint", "unit"):
        assert f"0 said by {name}\n1 said by {name}\n2 said by {name}\n" in told
    assert told.index("2 said by unit") < told.index("lint  passed") < told.index("unit  FAILED")


def test_the_summary_names_the_tests_that_have_failed_and_why(monkeypatch, tmp_path):
    (tmp_path / "test_mail.py").write_text(
        "def test_arrives():\n    assert False, 'two messages are lost'\n\ndef test_is_read():\n    pass\n"
    )

    monkeypatch.setattr(paths, "TESTS", tmp_path)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", f"--junit-xml={results.report_of('ideal')}", tmp_path]
    assert subprocess.run(command, stdout=subprocess.DEVNULL, check=False).returncode == 1
    told = results.summary([results.Result("ideal", results.FAILED, 7)]).splitlines()
    assert told.index("ideal: test_mail::test_arrives: AssertionError: two messages are lost") < told.index("0 passed, 1 failed")
    assert not [line for line in told if "test_is_read" in line]
