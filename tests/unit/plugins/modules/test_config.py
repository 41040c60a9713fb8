"""The config module, on real directories."""

from __future__ import annotations

import io
import json
import os
import stat

import pytest
from ansible.module_utils import basic
from ansible.module_utils.testing import patch_module_args

from ansible_collections.mailcluster.dovecot.plugins.module_utils._config_call import Accounts, Call
from ansible_collections.mailcluster.dovecot.plugins.module_utils._config_state import ConfigError, Store
from ansible_collections.mailcluster.dovecot.plugins.modules import config

STATE = "/var/lib/mailcluster-dovecot"
A, B, SECRET = "/etc/x/a.conf", "/etc/x/b.conf", "/etc/x/secret.conf"


class NoAccounts(Accounts):
    """Everybody is whoever runs the tests."""

    def numbers(self, owner, group, path):
        return os.getuid(), os.getgid()


class Host:
    """A directory that stands for a host, and one command that validates: it fails when a staged file says so."""

    def __init__(self, root):
        self.root = str(root)
        self.store = Store(STATE, self.root)
        self.runs = []
        self.staged = None

    def place(self, path):
        return self.root + path

    def read(self, path):
        with open(self.place(path), encoding="utf-8") as stream:
            return stream.read()

    def write(self, path, content, mode=0o644):
        os.makedirs(os.path.dirname(self.place(path)), exist_ok=True)
        with open(self.place(path), "w", encoding="utf-8") as stream:
            stream.write(content)
        os.chmod(self.place(path), mode)

    def mode(self, path):
        return stat.S_IMODE(os.stat(self.place(path)).st_mode)

    def validator(self, argv):
        self.runs.append(argv)
        tree = argv[1]
        self.staged = {}
        for folder, _subfolders, names in os.walk(tree):
            for name in names:
                path = os.path.join(folder, name)
                with open(path, encoding="utf-8") as stream:
                    self.staged[path[len(tree) :]] = stream.read()
        bad = [path for path, content in sorted(self.staged.items()) if "BAD" in content]
        return (1, "", f"{tree}{bad[0]}: BAD\n{self.staged[bad[0]]}") if bad else (0, "", "")

    def snapshot(self):
        """Every file with what would change if anything was written."""
        found = {}
        for folder, _subfolders, names in os.walk(self.root):
            for name in names:
                status = os.lstat(os.path.join(folder, name))
                found[os.path.join(folder, name)] = (status.st_ino, status.st_mtime_ns, status.st_mode)
        return found

    def config(self, files, role="backend", roles=None, check_mode=False, want_diff=False, unit="a.service"):
        entries, secrets = [], {}
        for path, file in files.items():
            file = {"content": file} if isinstance(file, str) else dict(file)
            entry = {"template": None, "secret": False, "owner": "root", "group": "root", "mode": None, "unit": None}
            entry.update(file, dest=path)
            if entry["secret"]:
                secrets[path] = entry["content"]
                entry["content"] = None
            entries.append(entry)
        params = {
            "role": role,
            "roles": roles,
            "partial": False,
            "unit": unit,
            "validate": ["check {tree}"],
            "files": entries,
            "secrets": secrets,
            "state_dir": STATE,
        }
        accounts = NoAccounts(check_mode)
        find = {"check": "/bin/check"}.get
        return Call(params, self.validator, find, check_mode, want_diff, self.root, accounts)()


@pytest.fixture
def host(tmp_path):
    return Host(tmp_path)


def secret(content):
    return {"content": content, "secret": True}


def test_first_run_installs_and_records(host):
    result = host.config({A: "one\n", SECRET: secret("geheim\n")})
    assert result["changed"]
    assert result["changed_files"] == [A, SECRET]
    assert result["units"] == ["a.service"]
    assert host.read(A) == "one\n"
    assert (host.mode(A), host.mode(SECRET)) == (0o644, 0o600)
    assert host.store.manifest()[SECRET]["secret"] is True
    assert host.store.pending()["units"] == ["a.service"]


def test_an_unchanged_run_writes_and_validates_nothing(host):
    files = {A: "one\n", SECRET: secret("geheim\n")}
    host.config(files)
    before, host.runs = host.snapshot(), []
    result = host.config(files)
    assert result == {"changed": False, "changed_files": [], "removed_files": [], "units": [], "pending": True}
    assert host.snapshot() == before
    assert host.runs == []


def test_another_mode_is_a_change(host):
    host.config({A: {"content": "x", "mode": "0600"}})
    assert host.config({A: {"content": "x", "mode": "640"}})["changed_files"] == [A]
    assert host.mode(A) == 0o640


def test_the_complete_tree_of_all_roles_is_validated(host):
    host.config({A: "server\n"}, role="server")
    host.write("/etc/x/foreign.conf", "not ours")
    host.config({B: "backend\n"})
    assert host.staged == {A: "server\n", B: "backend\n"}


def test_removed_files_are_not_in_the_validated_tree(host):
    host.config({A: "BADLY wanted\n".replace("BAD", "bad"), B: "b"})
    host.config({B: "b2"})
    assert host.staged == {B: "b2"}


def test_a_refusal_installs_nothing_and_leaves_no_tree(host):
    host.config({A: "one\n", B: "two\n"})
    host.store.clear()
    before = host.snapshot()
    with pytest.raises(ConfigError) as error:
        host.config({A: "changed\n", B: "BAD\n"})
    assert "The new configuration is refused, nothing of it was installed" in error.value.message
    assert B + ": BAD" in error.value.message
    assert "mailcluster-stage" not in error.value.message
    assert error.value.details()["restored_files"] == []
    assert host.snapshot() == before
    assert not os.path.exists(host.runs[-1][1])


def test_a_refusal_takes_back_what_earlier_calls_of_the_run_installed(host):
    host.config({A: "one\n"}, role="server")
    host.config({B: "two\n"})
    host.store.clear()  # applied
    host.config({A: "changed\n", "/etc/x/new.conf": "new\n"}, role="server")
    with pytest.raises(ConfigError) as error:
        host.config({B: "BAD\n"})
    assert error.value.details()["restored_files"] == [A, "/etc/x/new.conf"]
    assert f"taken back too: {A}, /etc/x/new.conf" in error.value.message
    assert host.read(A) == "one\n"
    assert not os.path.exists(host.place("/etc/x/new.conf"))
    assert set(host.store.manifest()) == {A, B}
    assert host.store.pending() is None


def test_the_first_refusal_on_a_bare_host_brings_the_stock_files_back(host):
    host.write(A, "stock\n", 0o640)
    host.config({A: "ours\n"}, role="server")
    with pytest.raises(ConfigError):
        host.config({B: "BAD\n"})
    assert host.read(A) == "stock\n"
    assert host.mode(A) == 0o640
    assert host.store.manifest() == {}


def test_what_was_replaced_is_kept(host):
    host.write(A, "stock\n")
    host.config({A: "ours\n"})
    host.config({A: "ours 2\n"})
    assert host.read(STATE + "/replaced" + A) == "stock\n"


def test_a_foreign_file_that_is_already_right_is_adopted_silently(host):
    host.write(A, "ours\n")
    assert not host.config({A: "ours\n"})["changed"]
    assert host.store.manifest()[A]["role"] == "backend"
    assert host.store.pending() is None


def test_files_that_the_role_no_longer_lists_go(host):
    host.config({A: "a", B: "b"})
    result = host.config({A: "a"})
    assert (result["changed"], result["changed_files"], result["removed_files"]) == (True, [], [B])
    assert result["units"] == ["a.service"]
    assert not os.path.exists(host.place(B))
    assert set(host.store.manifest()) == {A}


def test_files_of_gone_roles_go_and_others_stay(host):
    host.write("/etc/x/foreign.conf", "foreign")
    host.config({A: "d"}, role="director", unit="director.service")
    host.config({B: "s"}, role="server")
    assert not host.config({SECRET: "x"})["removed_files"]
    result = host.config({SECRET: "x"}, roles=["server", "backend"])
    assert result["removed_files"] == [A]
    assert result["units"] == ["director.service"]
    assert host.read(B) == "s"
    assert host.read("/etc/x/foreign.conf") == "foreign"


@pytest.mark.parametrize("broken", [False, True])
def test_check_mode_writes_nothing(host, broken):
    host.config({A: "one\n"})
    host.store.clear()
    before = host.snapshot()
    if broken:
        with pytest.raises(ConfigError):
            host.config({A: "BAD\n"}, check_mode=True)
    else:
        result = host.config({B: "two\n"}, check_mode=True, want_diff=True)
        assert (result["changed"], result["changed_files"], result["removed_files"]) == (True, [B], [A])
        assert len(result["diff"]) == 2
    assert len(host.runs) == 2
    assert host.snapshot() == before


def test_check_mode_on_a_bare_host(host):
    assert host.config({A: "one\n"}, check_mode=True)["changed"]
    assert os.listdir(host.root) == []


def test_check_mode_does_not_take_back_what_is_pending(host):
    host.config({A: "one\n"}, role="server")
    with pytest.raises(ConfigError):
        host.config({B: "BAD\n"}, check_mode=True)
    assert host.read(A) == "one\n"
    assert A in host.store.pending()["files"]


def test_secrets_are_in_no_output(host):
    files = {A: "harmless BAD\n", SECRET: secret("password geheimnis1\n")}
    with pytest.raises(ConfigError) as error:
        host.config({A: "harmless\n", SECRET: secret("password geheimnis1 BAD\n")})
    assert "geheimnis1" not in repr((error.value.message, error.value.details()))
    assert SECRET in error.value.message
    files[A] = "harmless\n"
    results = [host.config(files, want_diff=True)]
    results.append(host.config(dict(files, **{SECRET: secret("password geheimnis2\n")}), want_diff=True))
    results.append(host.config({A: "harmless\n"}, want_diff=True))
    assert "geheimnis" not in repr(results)
    assert [one["diff"][-1]["after_header"] for one in results] == [SECRET, SECRET, "/dev/null"]


class Crash(BaseException):
    """The power fails."""


@pytest.mark.parametrize("at", range(1, 8))
def test_a_crash_at_any_moment_can_be_taken_back(host, monkeypatch, at):
    """Whichever write of a call is the last one: the next refusal leads back to what was applied."""
    host.config({A: "a1\n", B: "b1\n"})
    host.store.clear()
    crash_at_rename(monkeypatch, at)
    with pytest.raises((Crash, StopIteration)):
        host.config({A: "a2\n", "/etc/x/c.conf": "c2\n"})
        raise StopIteration  # fewer writes than that
    monkeypatch.undo()
    with pytest.raises(ConfigError):
        host.config({A: "BAD\n"})
    assert (host.read(A), host.read(B)) == ("a1\n", "b1\n")
    assert not os.path.exists(host.place("/etc/x/c.conf"))
    assert host.store.pending() is None


@pytest.mark.parametrize("at", range(1, 8))
def test_a_crash_at_any_moment_can_be_gone_on_from(host, monkeypatch, at):
    host.config({A: "a1\n", B: "b1\n"})
    host.store.clear()
    new = {A: "a2\n", "/etc/x/c.conf": "c2\n"}
    crash_at_rename(monkeypatch, at)
    with pytest.raises((Crash, StopIteration)):
        host.config(new)
        raise StopIteration
    monkeypatch.undo()
    host.config(new)
    assert (host.read(A), host.read("/etc/x/c.conf")) == ("a2\n", "c2\n")
    assert not os.path.exists(host.place(B))
    assert set(host.store.manifest()) == set(new)
    # Whatever the second run had left to do, the unit has not seen the files yet.
    assert host.store.pending()["units"] == ["a.service"]
    assert set(host.store.pending()["files"]) == {A, B, "/etc/x/c.conf"}


def crash_at_rename(monkeypatch, at):
    count = iter(range(1, 1000))
    rename = os.rename

    def counting(source, target):
        if next(count) == at:
            raise Crash
        rename(source, target)

    monkeypatch.setattr(os, "rename", counting)


def test_a_full_disk_is_a_refusal_with_the_old_files_in_place(host, monkeypatch):
    host.config({A: "a1\n", B: "b1\n"})
    host.store.clear()
    install = Store.install
    calls = []

    def full(self, path, *rest):
        calls.append(path)
        if len(calls) == 2:
            raise OSError(28, "No space left on device")
        install(self, path, *rest)

    monkeypatch.setattr(Store, "install", full)
    with pytest.raises(ConfigError, match="No space left"):
        host.config({A: "a2\n", B: "b2\n"})
    assert (host.read(A), host.read(B)) == ("a1\n", "b1\n")


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"etc/a": "x"}, "not a plain absolute path"),
        ({"/etc/../a": "x"}, "not a plain absolute path"),
        ({"/etc/": "x"}, "not a plain absolute path"),
        ({A: {"content": None}}, "neither template, file nor content"),
        ({A: {"content": "x", "mode": "u=rw"}}, "is not octal"),
    ],
)
def test_bad_input_is_refused_in_words(host, files, words):
    with pytest.raises(ConfigError, match=words):
        host.config(files)


def test_an_account_that_is_missing_is_named_but_not_in_check_mode():
    with pytest.raises(ConfigError, match="the owner 'nobody-such' does not exist"):
        Accounts(False).numbers("nobody-such", "root", A)
    with pytest.raises(ConfigError, match="the group '²' does not exist"):
        Accounts(False).numbers("root", "²", A)
    assert Accounts(True).numbers("nobody-such", "0", A) == (-1, 0)
    assert Accounts.names(0, 4294967294)[1] == "4294967294"


# --- as Ansible runs it


def run_module(capfd, monkeypatch, args):
    # What main() sets for its own process must not stay in that of the tests.
    monkeypatch.setattr(config.signal, "signal", lambda *dummy: None)
    logged = []
    monkeypatch.setattr(basic.AnsibleModule, "log", lambda self, message, **dummy: logged.append(message))
    mask = os.umask(0o022)
    try:
        with patch_module_args(args), pytest.raises(SystemExit):
            config.main()
    finally:
        os.umask(mask)
    assert "geheimnis" not in "".join(logged)
    assert "harmless content" not in "".join(logged)
    return capfd.readouterr().out


def test_the_module_does_not_show_secrets_even_as_its_invocation(tmp_path, capfd, monkeypatch):
    dest = str(tmp_path / "secret.conf")
    me = {"owner": str(os.getuid()), "group": str(os.getgid())}
    args = {
        "role": "backend",
        "files": [
            {"dest": dest, "secret": True, **me},
            {"dest": str(tmp_path / "a.conf"), "content": "harmless content\n", **me},
        ],
        "secrets": {dest: "password geheimnis\n"},
        "state_dir": str(tmp_path / "state"),
        "_ansible_diff": True,
    }
    out = run_module(capfd, monkeypatch, args)
    assert "geheimnis" not in out
    result = json.load(io.StringIO(out))
    assert dest in result["changed_files"]
    with open(dest, encoding="utf-8") as stream:
        assert stream.read() == "password geheimnis\n"


def test_the_module_fails_in_words(tmp_path, capfd, monkeypatch):
    args = {"role": "r", "files": [{"dest": "x", "content": ""}], "state_dir": str(tmp_path / "state")}
    result = json.loads(run_module(capfd, monkeypatch, args))
    assert result["failed"]
    assert "not a plain absolute path" in result["msg"]
