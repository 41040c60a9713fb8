"""Units: what systemd says, and what is to be done."""

from __future__ import annotations

import pathlib

import pytest

from ansible_collections.mailcluster.dovecot.plugins.module_utils import _config_units as units
from ansible_collections.mailcluster.dovecot.plugins.module_utils._config_state import ConfigError

TRANSCRIPTS = pathlib.Path(__file__).parent / "transcripts"
NAMES = [
    "dovecot.service",
    "mc-false.service",
    "nope.service",
    "nftables.service",
    "e2scrub_reap.service",
    "apt-daily.service",
    "apt-daily.timer",
]


def recorded():
    return units.parse_show((TRANSCRIPTS / "systemctl_show.txt").read_text(), NAMES)


def test_the_states_of_real_units():
    states = recorded()
    assert [name for name in NAMES if states[name].active] == ["dovecot.service", "apt-daily.timer"]
    assert [name for name in NAMES if states[name].failed] == ["mc-false.service"]
    assert [name for name in NAMES if not states[name].found] == ["nope.service"]
    assert [name for name in NAMES if states[name].masked] == ["nftables.service"]
    assert [name for name in NAMES if states[name].oneshot] == ["e2scrub_reap.service", "apt-daily.service"]
    assert states["apt-daily.service"].enabled  # static: there is nothing to enable
    assert states["apt-daily.timer"].restarts == 0


def test_a_wrong_number_of_blocks_is_an_error():
    with pytest.raises(ConfigError, match="printed 1 units instead of 2"):
        units.parse_show("Id=a.service\n", ["a.service", "b.service"])


def test_ports_on_which_something_listens():
    tables = [(TRANSCRIPTS / name).read_text() for name in ("proc_net_tcp.txt", "proc_net_tcp6.txt")]
    assert units.listening(*tables) == {22, 143, 993, 9090}
    assert units.listening() == set()


def test_a_reload_that_failed_is_seen_in_the_log():
    log = (TRANSCRIPTS / "journal_reload_failed.txt").read_text()
    assert units.RELOADING in log
    assert units.reload_errors(log) == [
        "service(imap-login): listen(*, 22) failed: Address already in use",
        "service(imap-login): listen(::, 22) failed: Address already in use",
    ]


@pytest.mark.parametrize(
    "line",
    [
        "master: Warning: SIGHUP received - reloading configuration",
        "master: Error: service(imap): child 4711 killed with signal 9",
        "imap-login: Error: connect(anvil) failed",
    ],
)
def test_other_lines_are_no_failed_reload(line):
    assert units.reload_errors(line) == []


@pytest.mark.parametrize(
    ("path", "unit"),
    [
        ("/etc/systemd/system/a.timer", "a.timer"),
        ("/etc/systemd/system/a.service.d/x.conf", "a.service"),
        ("/etc/systemd/system/deep/er/x.conf", ""),
        ("/etc/dovecot/dovecot.conf", ""),
    ],
)
def test_which_unit_a_file_defines(path, unit):
    assert units.unit_of_path(path) == unit


def test_what_comes_before_the_units():
    files = {
        "/etc/systemd/system/gone.timer": {"was": "file"},
        "/etc/systemd/system/undone.timer": {"was": "absent"},
        "/etc/systemd/system/a.service.d/gone.conf": {"was": "file"},
        "/etc/sysusers.d/a.conf": {"was": "absent"},
        "/etc/tmpfiles.d/a.conf": {"was": "file"},
        "/etc/tmpfiles.d/gone.conf": {"was": "file"},
    }
    before = units.Preparation(files, {"/etc/sysusers.d/a.conf", "/etc/tmpfiles.d/a.conf"})
    assert before.stop == ["gone.timer"]
    assert before.sysusers == ["/etc/sysusers.d/a.conf"]
    assert before.tmpfiles == ["/etc/tmpfiles.d/a.conf"]
    assert before.daemon_reload
    assert not units.Preparation({"/etc/dovecot/a": {"was": "file"}}, set()).needed


def state(active="active", enabled="enabled", kind="simple", load="loaded"):
    return units.State({"LoadState": load, "ActiveState": active, "UnitFileState": enabled, "Type": kind})


def work(states, pending=(), files=(), actions=None):
    listed = [{"name": name, "action": (actions or {}).get(name, "reload")} for name in states if name[0] != "_"]
    return units.work(listed, states, list(pending), list(files))


def test_all_is_well():
    assert not work({"a.service": state()}).needed


def test_what_is_not_enabled_or_not_active():
    todo = work({"a.service": state("inactive", "disabled"), "b.service": state("failed"), "c.timer": state()})
    assert todo.enable == ["a.service"]
    assert todo.start == ["a.service", "b.service"]
    assert todo.steps() == [("start", "a.service"), ("start", "b.service")]


def test_changed_files_are_picked_up_once():
    todo = work({"a.service": state(), "b.service": state("inactive")}, ["a.service", "b.service"])
    assert todo.steps() == [("reload-or-restart", "a.service"), ("start", "b.service")]


def test_a_unit_restarts_when_told_so_or_when_its_definition_changed():
    states = {"a.service": state(), "b.service": state(), "c.service": state()}
    files = ["/etc/systemd/system/b.service.d/limits.conf"]
    todo = work(states, ["a.service", "c.service"], files, {"a.service": "restart"})
    assert todo.restart == ["a.service", "b.service"]
    assert todo.reload == ["c.service"]


def test_units_that_are_only_mentioned_come_first_and_are_not_started():
    states = {"a.service": state(), "_nft.service": state(), "_off.service": state("inactive", "disabled")}
    todo = work(states, ["a.service", "_nft.service", "_off.service"])
    assert todo.steps() == [("reload-or-restart", "_nft.service"), ("reload-or-restart", "a.service")]
    assert todo.enable == []


def test_a_oneshot_need_not_be_active_but_runs_for_new_files():
    states = {"once.service": state("inactive", kind="oneshot")}
    assert not work(states).needed
    assert work(states, ["once.service"]).restart == ["once.service"]


def test_a_unit_whose_file_is_about_to_come():
    todo = work({"new.timer": state("inactive", "", load="not-found")}, ["new.timer"])
    assert todo.enable == todo.start == ["new.timer"]


@pytest.mark.parametrize(
    ("name", "words"), [("nftables.service", "is masked on this host"), ("nope.service", "there is no unit")]
)
def test_units_that_cannot_be_handled(name, words):
    with pytest.raises(ConfigError, match=words):
        units.refuse_unusable([{"name": name}], recorded(), set())


def test_a_missing_unit_is_fine_when_its_file_is_coming():
    units.refuse_unusable([{"name": "nope.service"}], recorded(), {"nope.service"})


def started_by(who, was, pending=()):
    return units.work([{"name": "a.service", "action": "reload", "started_by": who}], {"a.service": was}, list(pending), [])


@pytest.mark.parametrize("active", ["active", "inactive", "failed"])
def test_what_a_cluster_starts_is_disabled_and_never_started(active):
    todo = started_by("cluster", state(active))
    assert (todo.disable, todo.enable, todo.start) == (["a.service"], [], [])
    assert todo.needed
    assert not started_by("cluster", state(active, "disabled")).needed


def test_what_a_cluster_starts_is_not_enabled_when_it_is_new():
    assert started_by("cluster", state("inactive", "", load="not-found"), ["a.service"]).steps() == []


def test_what_a_cluster_has_started_picks_changed_files_up_where_it_is_active():
    assert started_by("cluster", state(enabled="disabled"), ["a.service"]).steps() == [("reload-or-restart", "a.service")]
    assert started_by("cluster", state("inactive", "disabled"), ["a.service"]).steps() == []


def test_what_another_unit_starts_is_enabled_and_not_started():
    todo = started_by("unit", state("inactive", "disabled"), ["a.service"])
    assert (todo.enable, todo.disable, todo.steps()) == (["a.service"], [], [])
    assert started_by("unit", state(), ["a.service"]).reload == ["a.service"]
