"""config_apply, on real directories and with a scripted systemd."""

from __future__ import annotations

import json
import os

import pytest
from mail_server import Script, serving

from ansible_collections.mailcluster.dovecot.plugins.module_utils._config_apply import DOVECOT, Apply, DovecotLog
from ansible_collections.mailcluster.dovecot.plugins.module_utils._config_state import ConfigError, Store

STATE = "/var/lib/mailcluster-dovecot"
CONF = "/etc/dovecot/dovecot.conf"
UNITS = "/etc/systemd/system"
RELOADING = "master: Warning: SIGHUP received - reloading configuration\n"
DEFAULTS = {"ports": [], "services": {}, "proxy_protocol_services": {}, "address": "127.0.0.1", "action": "reload"}
LMTP = Script(b"220 b1 ready\r\n", "QUIT", b"221 2.0.0 Bye\r\n")
BUSY = Script(b"421 4.3.2 Too busy\r\n")


class Host:
    """systemd, journal, kernel and ring of one node. A unit whose configuration holds BAD does not come up."""

    def __init__(self, root):
        self.root = str(root)
        self.store = Store(STATE, self.root)
        self.units = {}
        self.calls = []
        self.ports = {}
        self.log = ""
        self.rings = []
        self.connections, self.reached = 0, [0]  # sessions through this director, and those that it can end
        self.now = 0.0
        self.add(DOVECOT, ports=(143, 993))

    # --- the world

    def add(self, name, active="active", enabled="enabled", ports=(), load="loaded", kind="simple"):
        self.units[name] = {
            "Id": name,
            "LoadState": load,
            "ActiveState": active,
            "UnitFileState": enabled,
            "Type": kind,
            "RemainAfterExit": "no",
            "Result": "success",
            "NRestarts": "0",
        }
        self.ports[name] = ports

    def place(self, path):
        return self.root + path

    def write(self, path, content):
        os.makedirs(os.path.dirname(self.place(path)), exist_ok=True)
        with open(self.place(path), "w", encoding="utf-8") as stream:
            stream.write(content)

    def read(self, path):
        disk = self.store.read(path)
        return None if disk is None else disk.content.decode()

    def pend(self, files, units=(DOVECOT,)):
        """What a call of config leaves behind: {path: new content or None}."""
        current = {path: self.store.read(path) for path in files}
        self.store.remember(sorted(files), current, list(units), {"old": {}}, [])
        for path, content in files.items():
            if content is None:
                self.store.remove(path)
            else:
                self.store.install(path, content.encode(), 0o644, os.getuid(), os.getgid())

    def sleep(self, seconds):
        self.now += seconds

    @property
    def told(self):
        """The calls that change something."""
        return [" ".join(call[1:]) for call in self.calls if call[0] == "systemctl" and call[1] != "show"]

    # --- the commands

    def run(self, argv, **dummy):
        self.calls.append(argv)
        answer = getattr(self, argv[0].replace("-", "_"))(*argv[1:])
        self.kernel()
        return answer

    def kernel(self):
        ports = [port for name, ports in self.ports.items() if self.units[name]["ActiveState"] == "active" for port in ports]
        lines = [f"   0: 00000000:{port:04X} 00000000:0000 0A 0 0 0" for port in ports]
        self.write("/proc/net/tcp", "\n".join(["  sl  local_address", *lines]) + "\n")

    def systemctl(self, verb, *names):
        if verb == "show":
            blocks = []
            for name in names[3:]:
                unit = self.units.get(name, {"Id": name, "LoadState": "not-found", "ActiveState": "inactive"})
                blocks.append("\n".join("{}={}".format(*item) for item in unit.items()) + "\n")
            return 0, "\n".join(blocks), ""
        for name in names:
            if verb in ("start", "restart", "reload-or-restart"):
                result = self.picks_up(verb, self.units[name])
                if result:
                    return 1, "", result
            elif verb == "stop":
                self.units[name]["ActiveState"] = "inactive"
            elif verb == "enable":
                self.units[name]["UnitFileState"] = "enabled"
            elif verb == "disable":
                self.units[name]["UnitFileState"] = "disabled"
            else:
                assert verb == "reset-failed"
        if verb == "daemon-reload":
            for name in os.listdir(self.place(UNITS)):
                if "." in name and name not in self.units:
                    self.add(name, "inactive", "disabled")
        return 0, "", ""

    def picks_up(self, verb, unit):
        bad = "BAD" in (self.read(CONF) or "")
        if unit["Type"] == "oneshot":
            return ""
        if verb == "reload-or-restart" and unit["ActiveState"] == "active":
            self.log = RELOADING + ("master: Error: service(x): listen failed\n" if "BADLY" in (self.read(CONF) or "") else "")
            return "Job failed." if "BAD!" in (self.read(CONF) or "") else ""
        unit["ActiveState"] = "failed" if bad else "active"
        unit["Result"] = "exit-code" if bad else "success"
        return "Job for {} failed.".format(unit["Id"]) if bad else ""

    def journalctl(self, *words):
        if "--show-cursor" in words:
            return 0, "-- cursor: s=1;i=2\n", ""
        if "--after-cursor=s=1;i=2" in words:
            return 0, self.log, ""
        assert words[2:] == ("-n", "20", "--no-pager")
        return 0, "line 1\nline 2\n", ""

    def doveconf(self, *words):
        assert words == ("-h", "log_path")
        return 0, "syslog\n", ""

    def timeout(self, _kill_after, _seconds, *argv):
        return self.run(list(argv))

    def ss(self, *words):
        assert words == ("-Htnp", "state", "established")
        line = '0 0 198.51.100.21:4000%d 198.51.100.31:143 users:(("imap-login",pid=%d,fd=9))\n'
        return 0, "".join(line % (number, number) for number in range(self.connections)), ""

    def doveadm(self, *words):
        if words == ("-f", "json", "director", "status"):
            backend = {"mail server ip": "198.51.100.31", "tag": "a", "vhosts": "100", "state": "up", "users": "1"}
            return 0, json.dumps([{**backend, "state-changed": "-"}]), ""
        if words == ("-f", "json", "proxy", "list"):
            reached = self.reached.pop(0) if len(self.reached) > 1 else self.reached[0]
            session = {"username": "alice", "service": "imap", "src-ip": "192.0.2.7", "dest-ip": "198.51.100.31"}
            return 0, json.dumps([session] * reached), ""
        assert words == ("-f", "json", "director", "ring", "status")
        status = self.rings.pop(0) if len(self.rings) > 1 else self.rings[0]
        if status is None:
            return (75, "", "doveadm(root): Fatal: connect(/run/dovecot/director-admin) failed: No such file or directory")
        columns = {"director ip": "198.51.100.21", "port": "9090", "last failed": "never"}
        return 0, json.dumps([{**columns, "type": "self", "status": status}]), ""

    def systemd_sysusers(self, *files):
        return 0, "", ""

    def systemd_tmpfiles(self, *files):
        return 0, "", ""

    def apply(self, *units, check_mode=False, ring=False, timeout=5):
        units = units or ({"name": DOVECOT, "ports": [143, 993]},)
        units = [{**DEFAULTS, **unit} for unit in units]
        params = {"units": units, "ring": ring, "timeout": timeout, "state_dir": STATE}
        self.kernel()
        self.calls = []
        return Apply(params, self.run, check_mode, self.root, lambda: self.now, self.sleep)()


@pytest.fixture
def host(tmp_path):
    host = Host(tmp_path)
    host.write(CONF, "old")
    return host


def test_nothing_to_do_costs_one_call(host):
    result = host.apply({"name": DOVECOT}, ring=True)
    assert not result["changed"]
    assert [call[:2] for call in host.calls] == [["systemctl", "show"]]


def test_changed_files_are_reloaded_and_in_force(host):
    host.pend({CONF: "new"})
    result = host.apply()
    assert (result["changed"], result["reloaded"], result["rolled_back"]) == (True, [DOVECOT], False)
    assert host.told == ["reload-or-restart " + DOVECOT]
    assert host.store.pending() is None
    assert os.listdir(host.store.before) == []
    assert not host.apply()["changed"]


def test_a_unit_that_is_not_active_is_started_and_enabled(host):
    host.add(DOVECOT, "failed", "disabled", (143, 993))
    result = host.apply()
    assert (result["started"], result["enabled"]) == ([DOVECOT], [DOVECOT])
    assert host.told == ["enable " + DOVECOT, "reset-failed " + DOVECOT, "start " + DOVECOT]


def test_files_without_a_unit_are_in_force_at_once(host):
    host.pend({"/etc/dovecot/users": "x"}, units=[])
    assert not host.apply()["changed"]
    assert host.store.pending() is None


@pytest.mark.parametrize("change", [{CONF: "new"}, {}])
def test_check_mode_does_nothing(host, change):
    if change:
        host.pend(change)
    pending = host.store.pending()
    assert host.apply(check_mode=True)["changed"] is bool(change)
    assert host.told == []
    assert host.store.pending() == pending


def test_check_mode_before_the_packages_are_there(host):
    result = host.apply({"name": "haproxy.service"}, check_mode=True)
    assert result["started"] == ["haproxy.service"]


@pytest.mark.parametrize(
    ("unit", "words"),
    [({"name": "nope.service"}, "there is no unit nope.service"), ({"name": "masked.service"}, "masked.service is masked")],
)
def test_units_that_cannot_be_handled(host, unit, words):
    host.add("masked.service", "inactive", "masked", load="masked")
    host.pend({CONF: "new"})
    with pytest.raises(ConfigError, match=words):
        host.apply(unit)
    assert host.told == []
    assert host.read(CONF) == "new"


# --- the way back


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("BAD!", "'systemctl reload-or-restart dovecot.service' failed: Job failed."),
        ("BADLY", "did not accept the new configuration when it was reloaded: service(x): listen failed"),
    ],
)
def test_a_reload_that_fails_is_taken_back(host, content, words):
    host.pend({CONF: content, "/etc/dovecot/new.conf": "x"})
    with pytest.raises(ConfigError) as error:
        host.apply()
    assert words in error.value.message
    assert "The previous configuration is back in force" in error.value.message
    assert error.value.message.endswith("line 1\nline 2")
    assert error.value.details()["rolled_back"] is True
    assert error.value.details()["restored_files"] == [CONF, "/etc/dovecot/new.conf"]
    assert (host.read(CONF), host.read("/etc/dovecot/new.conf")) == ("old", None)
    assert host.told == ["reload-or-restart " + DOVECOT] * 2
    assert host.units[DOVECOT]["ActiveState"] == "active"
    assert host.store.manifest() == {"old": {}}
    assert host.store.pending() is None


def test_a_restart_that_fails_is_taken_back(host):
    host.pend({CONF: "BAD"})
    with pytest.raises(ConfigError, match="The previous configuration is back in force"):
        host.apply({"name": DOVECOT, "action": "restart"})
    assert host.told == ["restart " + DOVECOT, "reset-failed " + DOVECOT, "restart " + DOVECOT]
    assert host.units[DOVECOT]["ActiveState"] == "active"


def test_a_port_that_does_not_open_is_taken_back(host):
    host.pend({CONF: "new"})
    with pytest.raises(ConfigError, match="does not listen on port 24 within 5 s"):
        host.apply({"name": DOVECOT, "ports": [143, 24]})
    assert host.read(CONF) == "old"


# --- tried as a client would


def served(host, port, service="lmtp"):
    host.ports[DOVECOT] = (port,)
    return host.apply({"name": DOVECOT, "services": {service: port}})


def test_services_that_serve_are_tried_once(host):
    host.pend({CONF: "new"})
    with serving(LMTP, BUSY) as port:
        assert served(host, port)["reloaded"] == [DOVECOT]


def test_nothing_is_tried_when_there_is_nothing_to_do(host):
    with serving(BUSY) as port:
        assert not served(host, port)["changed"]
    assert [call[:2] for call in host.calls] == [["systemctl", "show"]]


def test_a_service_that_does_not_serve_at_once_gets_time(host):
    host.pend({CONF: "new"})
    with serving(BUSY, BUSY, LMTP) as port:
        assert served(host, port)["reloaded"] == [DOVECOT]


def test_a_service_that_does_not_serve_is_taken_back(host):
    host.pend({CONF: "new"})
    with serving(BUSY) as port, pytest.raises(ConfigError) as error:
        served(host, port)
    assert error.value.message.startswith(
        f"dovecot.service does not serve clients at 127.0.0.1: port {port} (lmtp): its greeting is '421 4.3.2 Too busy'. "
        "The previous configuration is back in force"
    )
    assert host.read(CONF) == "old"
    assert host.told == ["reload-or-restart " + DOVECOT] * 2
    assert host.now < 7, "a wrong answer that stays is no reason for patience"


def test_a_port_of_a_service_must_be_open(host):
    host.pend({CONF: "new"})
    with pytest.raises(ConfigError, match="does not listen on port 24 within 5 s"):
        host.apply({"name": DOVECOT, "services": {"lmtp": 24}})


def test_an_unknown_service_is_refused(host):
    with pytest.raises(ConfigError, match="services of dovecot.service has 'smtp', which is no service: give some of imap"):
        host.apply({"name": DOVECOT, "services": {"smtp": 25}})


# --- the way back, without anything to go back to


def test_a_unit_that_was_not_running_before_is_not_running_afterwards(host):
    host.add(DOVECOT, "inactive", "disabled")
    host.pend({CONF: "BAD"})
    with pytest.raises(ConfigError, match="was not running before and is not now"):
        host.apply()
    assert host.units[DOVECOT]["ActiveState"] == "inactive"
    assert host.units[DOVECOT]["UnitFileState"] == "disabled"


def test_a_unit_that_fails_without_changed_files(host):
    host.add(DOVECOT, "inactive")
    host.write(CONF, "BAD")
    with pytest.raises(ConfigError, match="No file was changed"):
        host.apply()
    assert host.read(CONF) == "BAD"


def test_a_unit_that_starts_again_and_again(host):
    host.add("loop.service", "inactive")
    show = host.systemctl

    def restarting(verb, *names):
        if verb == "show" and host.now > 0.15:
            host.units["loop.service"]["NRestarts"] = "1"
        return show(verb, *names)

    host.systemctl = restarting
    with pytest.raises(ConfigError, match=r"loop.service starts again and again"):
        host.apply({"name": "loop.service"})


def test_the_old_configuration_may_fail_as_well_and_that_is_said(host):
    host.write(CONF, "BAD old")
    host.pend({CONF: "BAD new"})
    with pytest.raises(ConfigError, match="The previous files are back, but: 'systemctl restart"):
        host.apply({"name": DOVECOT, "action": "restart"})
    # The unit has not picked the previous files up yet: the next run has to try.
    assert host.store.pending()["units"] == [DOVECOT]


def test_an_interrupted_apply_is_known_to_the_next_refusal(host):
    host.pend({CONF: "new"})

    def interrupted(verb, *names):
        if verb == "show":
            return Host.systemctl(host, verb, *names)
        raise KeyboardInterrupt

    host.systemctl = interrupted
    with pytest.raises(KeyboardInterrupt):
        host.apply()
    assert host.store.pending()["applying"] is True
    host.store.restore()
    del host.systemctl
    assert host.apply()["reloaded"] == [DOVECOT]


# --- units of our own


def test_a_new_unit(host):
    host.pend({UNITS + "/mc.timer": "x", "/etc/sysusers.d/mc.conf": "x", "/etc/tmpfiles.d/mc.conf": "x"}, ["mc.timer"])
    result = host.apply({"name": "mc.timer"})
    assert (result["enabled"], result["started"]) == (["mc.timer"], ["mc.timer"])
    order = [" ".join(call[:2]) for call in host.calls if call[:2] != ["systemctl", "show"]]
    assert order == [
        "systemd-sysusers /etc/sysusers.d/mc.conf",
        "systemd-tmpfiles --create",
        "systemctl daemon-reload",
        "systemctl enable",
        "systemctl start",
    ]


def test_a_new_unit_in_check_mode(host):
    host.pend({UNITS + "/mc.timer": "x"}, ["mc.timer"])
    assert host.apply({"name": "mc.timer"}, check_mode=True)["started"] == ["mc.timer"]


def gone_timer(host):
    host.write(UNITS + "/mc.timer", "x")
    host.add("mc.timer")
    os.makedirs(host.place(UNITS + "/timers.target.wants"))
    os.symlink(UNITS + "/mc.timer", host.place(UNITS + "/timers.target.wants/mc.timer"))
    host.pend({UNITS + "/mc.timer": None}, ["mc.timer"])


def test_a_unit_whose_file_is_gone_is_stopped_and_disabled(host):
    gone_timer(host)
    result = host.apply()
    assert result["stopped"] == ["mc.timer"]
    assert host.told == ["stop mc.timer", "daemon-reload"]
    assert os.listdir(host.place(UNITS + "/timers.target.wants")) == []


def test_a_unit_that_was_stopped_comes_back_with_its_file(host):
    gone_timer(host)
    host.pend({CONF: "BAD!"})
    with pytest.raises(ConfigError):
        host.apply()
    assert host.read(UNITS + "/mc.timer") == "x"
    assert host.told[-4:] == ["daemon-reload", "enable mc.timer", "start mc.timer", "reload-or-restart " + DOVECOT]


def gone_role(host, kept=()):
    """The node has lost a role with a packaged unit."""
    host.write("/etc/keepalived/keepalived.conf", "x")
    host.add("keepalived.service")
    host.store.prepare()
    host.store.save_manifest({path: {"unit": "keepalived.service"} for path in kept})
    host.pend({"/etc/keepalived/keepalived.conf": None}, ["keepalived.service"])


def test_a_unit_that_has_lost_its_last_file_is_stopped(host):
    gone_role(host)
    assert host.apply()["stopped"] == ["keepalived.service"]
    assert host.told == ["stop keepalived.service"]
    assert not host.apply()["changed"]


def test_a_unit_that_has_lost_a_file_but_not_the_last_goes_on(host):
    gone_role(host, kept=["/etc/keepalived/other.conf"])
    result = host.apply()
    assert (result["stopped"], result["reloaded"]) == ([], ["keepalived.service"])


def test_a_unit_that_this_node_needs_is_not_stopped_with_its_last_file(host):
    gone_role(host)
    assert host.apply({"name": "keepalived.service"})["stopped"] == []


def test_a_changed_definition_restarts_its_unit(host):
    host.pend({UNITS + "/dovecot.service.d/limits.conf": "x"})
    assert host.apply()["restarted"] == [DOVECOT]
    assert host.told == ["daemon-reload", "restart " + DOVECOT]


def test_a_definition_that_no_unit_has_to_pick_up_is_for_systemd_alone(host):
    path = UNITS + "/dovecot.service.d/restart.conf"
    host.store.prepare()
    host.store.save_manifest({path: {"unit": ""}})
    host.pend({path: "x"}, [])
    result = host.apply()
    assert (result["changed"], result["restarted"], result["reloaded"]) == (True, [], [])
    assert host.told == ["daemon-reload"]
    assert not host.apply()["changed"]


def test_such_a_definition_does_not_make_a_restart_of_a_reload(host):
    path = UNITS + "/dovecot.service.d/restart.conf"
    host.store.prepare()
    host.store.save_manifest({path: {"unit": ""}})
    host.pend({path: "x", CONF: "new"})
    assert host.apply()["reloaded"] == [DOVECOT]
    assert host.told == ["daemon-reload", "reload-or-restart " + DOVECOT]


# --- the ring


def test_a_director_waits_for_the_ring_before_and_after(host):
    host.pend({CONF: "new"})
    host.rings = ["ring synced", "ring handshaking", "ring synced", None, "ring handshaking", "ring synced"]
    assert host.apply(ring=True)["reloaded"] == [DOVECOT]
    asked = [call[0] for call in host.calls]
    assert [call[-1] for call in host.calls if call[0] == "doveadm"].count("status") == 6 + 1
    assert asked.index("doveadm") < host.calls.index(["systemctl", "reload-or-restart", DOVECOT])


def test_out_of_the_ring_nothing_is_reloaded(host):
    host.pend({CONF: "new"})
    host.rings = ["ring syncing - disconnected"]
    with pytest.raises(ConfigError, match="was not reloaded") as error:
        host.apply(ring=True)
    assert "ring syncing - disconnected" in error.value.message
    assert host.told == []
    assert host.read(CONF) == "new"
    assert host.store.pending()["applying"] is False


def test_a_director_waits_until_it_can_end_the_sessions_of_before(host):
    host.pend({CONF: "new"})
    host.rings = ["ring synced"]
    host.connections, host.reached = 4, [1, 3, 4]
    assert host.apply(ring=True)["reloaded"] == [DOVECOT]
    assert host.calls.count(["doveadm", "-f", "json", "proxy", "list"]) == 3


def test_sessions_that_it_cannot_end_for_long_are_no_reason_to_fail(host):
    host.pend({CONF: "new"})
    host.rings = ["ring synced"]
    host.connections, host.reached = 4, [3]
    assert host.apply(ring=True)["reloaded"] == [DOVECOT]


def test_a_ring_that_does_not_come_back_is_no_reason_to_go_back(host):
    host.pend({CONF: "new"})
    host.rings = ["ring synced", "ring synced", "ring handshaking"]
    with pytest.raises(ConfigError, match="The files were kept"):
        host.apply(ring=True)
    assert host.read(CONF) == "new"
    assert host.store.pending() is None


def test_the_first_start_does_not_wait_for_others(host):
    host.add(DOVECOT, "inactive", ports=(143, 993))
    host.pend({CONF: "new"})
    assert host.apply(ring=True)["started"] == [DOVECOT]
    assert "doveadm" not in [call[0] for call in host.calls]


def test_a_dovecot_that_was_no_director_does_not_wait_either(host):
    host.pend({CONF: "new"})
    host.rings = [None]
    assert host.apply(ring=True)["reloaded"] == [DOVECOT]
    assert [call[0] for call in host.calls].count("doveadm") == 1


# --- Dovecot's own log file


def test_a_log_file_is_read_from_where_it_was(tmp_path):
    log = tmp_path / "dovecot.log"
    log.write_text("master: Error: long ago\n")

    class Quiet:
        def cursor(self, unit):
            return ""

        def run(self, argv):
            return 0, f"{log}\n", ""

    reader = DovecotLog(Quiet(), Store(STATE))
    assert reader.read() == ""
    log.write_text("master: Error: long ago\nmaster: Error: now\n")
    assert reader.read() == "master: Error: now\n"
    log.write_text("rotated\n")
    assert reader.read() == "rotated\n"
