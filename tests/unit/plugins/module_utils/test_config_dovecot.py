"""The built-in check of a Dovecot configuration: what is found, and in which words."""

from __future__ import annotations

import pathlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.mailcluster.dovecot.plugins.module_utils import _config_dovecot as dovecot
from ansible_collections.mailcluster.dovecot.plugins.module_utils import _doveconf as doveconf
from ansible_collections.mailcluster.dovecot.plugins.module_utils import _dovecot_rules as rules
from ansible_collections.mailcluster.dovecot.plugins.module_utils import _staged_files as staged_files

TRANSCRIPTS = pathlib.Path(__file__).parent / "transcripts" / "doveconf"
TREE = "/run/mailcluster-stage-x"
FRAGMENT = "/etc/dovecot/mailcluster.d/20-test.conf"
MAIN = """protocols = imap lmtp sieve pop3
ssl = required
ssl_cert = </etc/ssl/t/a.crt
ssl_key = </etc/ssl/t/a.key
!include mailcluster.d/*.conf
"""


class Transcript:
    """conf, and {argv: (rc, stdout, stderr)} of a recorded case."""

    def __init__(self, name):
        text = (TRANSCRIPTS / (name + ".txt")).read_text()
        self.conf = text.split("### doveconf", 1)[0].removeprefix("### conf\n")
        runs = re.findall(r"^### (doveconf [^\n]*): (\d+)\n(.*?)^### stderr\n(.*?)(?=^### doveconf|\Z)", text, re.S | re.M)
        self.runs = {argv: (int(rc), out, err) for argv, rc, out, err in runs}

    def run(self, argv, **dummy):
        return self.runs[" ".join(argv)]

    @property
    def parsed(self):
        return doveconf.parse(self.run(["doveconf", "-n", "-P", "-c", TREE + doveconf.MAIN])[1])

    @property
    def contents(self):
        return {doveconf.MAIN: MAIN, FRAGMENT: self.conf}


@pytest.mark.parametrize(
    ("name", "path", "line", "words"),
    [
        ("unknown_setting", FRAGMENT, 2, "Unknown setting: foo"),
        ("unknown_section", FRAGMENT, 1, "Unknown setting: servise"),
        ("unknown_variable", FRAGMENT, 1, "Unknown variable: $nope"),
        ("bad_boolean", FRAGMENT, 1, "Invalid boolean value: maybe"),
        ("bad_time", FRAGMENT, 1, "Invalid time interval: 5 parsecs"),
        ("bad_port", FRAGMENT, 3, "Invalid port number abc"),
        ("unclosed", FRAGMENT, 1, "Missing '}'"),
        ("unexpected_brace", FRAGMENT, 1, "Unexpected '}'"),
        ("no_equals", FRAGMENT, 1, "Expecting '{'"),
        ("missing_include", FRAGMENT, 1, "No matches"),
        ("missing_file", FRAGMENT, 1, "Can't open file /etc/ssl/t/nope.crt"),
        ("unknown_protocol", doveconf.MAIN, None, "Unknown protocol: foo"),
        ("combination", doveconf.MAIN, None, "mail_nfs_index=yes requires mmap_disable=yes"),
        ("duplicate_listener", doveconf.MAIN, None, "duplicate listener"),
    ],
)
def test_a_refusal_is_one_problem_in_terms_of_the_live_path(name, path, line, words):
    check = dovecot.Check(Transcript(name).run, TREE, set())
    dummy, problems = check.doveconf("-x", "-n", "-P")
    assert [(problem.path, problem.line) for problem in problems] == [(path, line)]
    assert words in problems[0].message
    assert TREE not in problems[0].message


@pytest.mark.parametrize(
    ("name", "path", "line", "words"),
    [
        ("late_setting", FRAGMENT, 4, "imap_idle_notify_interval would not change the setting inside an earlier filter"),
        ("obsolete_setting", FRAGMENT, 2, "mail_log_max_lines_per_sec has been removed. Remove it."),
        ("ssl_for_a_part", doveconf.MAIN, None, "SSL is disabled because global ssl=no"),
    ],
)
def test_a_warning_that_a_setting_does_nothing_is_a_refusal(name, path, line, words):
    check = dovecot.Check(Transcript(name).run, TREE, set())
    dummy, problems = check.doveconf("-x", "-n", "-P")
    assert (path, line) in [(problem.path, problem.line) for problem in problems]
    assert any(words in problem.message and TREE not in problem.message for problem in problems)


def test_a_setting_that_was_only_renamed_is_none():
    dummy, problems = dovecot.Check(Transcript("obsolete_setting").run, TREE, set()).doveconf("-x", "-n", "-P")
    assert [problem.line for problem in problems] == [1, 2]


@pytest.mark.parametrize("name", ["unknown_variable", "missing_file"])
def test_doveconf_without_x_would_let_it_pass(name):
    """Why there are two runs."""
    assert Transcript(name).run(["doveconf", "-n", "-P", "-c", TREE + doveconf.MAIN])[0] == 0


@pytest.mark.parametrize("name", ["accepted", "empty_plugins"])
def test_an_accepted_configuration_has_no_complaint(name):
    check = dovecot.Check(Transcript(name).run, TREE, set())
    for options in (("-x", "-n", "-P"), ("-n", "-P")):
        assert check.doveconf(*options)[1] == []


def test_silent_failure_is_a_problem():
    check = dovecot.Check(lambda argv: (75, "", ""), TREE, set())
    dummy, problems = check.doveconf("-n")
    assert "exit status 75" in problems[0].message


def test_parsing_keeps_values_and_blocks():
    config = Transcript("accepted").parsed
    assert config.settings["mail_plugins"].split() == ["quota", "notify", "replication"]
    assert config.settings["doveadm_password"] == 'a # b { " c'
    titles = {section.title for section in config.walk()}
    assert {"protocol imap", "local 127.0.0.1 / protocol imap", "local_name b.example"} <= titles
    assert "namespace inbox / mailbox Trash" in titles
    plugin = next(section for section in config.walk() if section.kind == "plugin")
    assert plugin.settings["quota"] == "count:User quota = x {"


def test_settings_are_inherited_from_the_block_around():
    config = Transcript("accepted").parsed
    inner = next(section for section in config.walk() if section.title == "local 127.0.0.1 / protocol imap")
    assert inner.effective("ssl_cert") == "</etc/ssl/t/a.crt"
    assert inner.effective("nothing", "default") == "default"


@given(st.text())
def test_parsing_never_fails(text):
    doveconf.parse(text)
    doveconf.complaints(text, TREE)


NAMES = st.from_regex(r"[a-z][a-z_]{0,12}", fullmatch=True)
VALUES = st.text(st.characters(codec="ascii", exclude_categories=["C"], exclude_characters="\"'\\"), max_size=20)


@given(st.dictionaries(NAMES, VALUES, max_size=4), st.dictionaries(NAMES, VALUES, max_size=4))
def test_what_is_printed_is_what_is_parsed(outer, inner):
    def line(name, value):
        return f'{name} = "{value}"\n'

    text = "".join(line(*item) for item in outer.items())
    text += "protocol imap {\n" + "".join("  " + line(*item) for item in inner.items()) + "}\n"
    config = doveconf.parse(text)
    assert config.settings == outer
    assert config.sections[0].settings == inner


# --- plugins


def installed(directory):
    names = ["lib10_quota_plugin.so", "lib15_notify_plugin.so", "lib20_replication_plugin.so", "lib11_imap_quota_plugin.so"]
    return ["lib90_sieve_imapsieve_plugin.so"] if directory.endswith("/sieve") else names


def test_plugins_that_are_not_installed_are_named_with_setting_place_and_package():
    transcript = Transcript("accepted")
    problems = list(rules.plugin_problems(transcript.parsed, installed, transcript.contents))
    found = {re.search("plugin '(.*?)'", problem.message).group(1): problem for problem in problems}
    assert set(found) == {"imap_sieve", "nosuch", "sieve", "fts_solr", "sieve_nosuch"}
    assert "mail_plugins of protocol lmtp" in found["sieve"].message
    assert "dovecot-sieve" in found["sieve"].message
    assert "mail_plugins of remote 10.0.0.0/8" in found["fts_solr"].message
    assert "sieve_plugins of plugin" in found["sieve_nosuch"].message
    line = transcript.conf.splitlines().index("  mail_plugins = fts_solr") + 1
    assert (found["fts_solr"].path, found["fts_solr"].line) == (FRAGMENT, line)
    assert all(problem.absent for problem in problems)


def test_an_empty_list_of_plugins_is_fine():
    transcript = Transcript("empty_plugins")
    assert list(rules.plugin_problems(transcript.parsed, installed, transcript.contents)) == []


@pytest.mark.parametrize(
    ("name", "plugin", "right"),
    [
        ("lib10_quota_plugin.so", "quota", True),
        ("libquota.so", "quota", True),
        ("lib11_imap_quota_plugin.so", "quota", False),
        ("lib10_quota_plugin.so.0", "quota", False),
        ("lib20_a.c_plugin.so", "a.c", True),
        ("lib20_abc_plugin.so", "a.c", False),
    ],
)
def test_which_file_is_a_plugin(name, plugin, right):
    assert rules.is_plugin(name, plugin) is right


def test_another_plugin_directory():
    asked = []
    config = doveconf.parse("mail_plugin_dir = /opt/modules\nmail_plugins = quota\n")
    list(rules.plugin_problems(config, lambda directory: asked.append(directory) or [], {}))
    assert asked == ["/opt/modules"]


# --- other things that doveconf does not see


def test_a_protocol_without_its_program():
    config = doveconf.parse("protocols = imap pop3\n")
    there = {"/usr/lib/dovecot/imap", "/usr/lib/dovecot/imap-login", "/usr/lib/dovecot/pop3-login"}
    problems = list(rules.protocol_problems(config, there.__contains__, {}))
    assert len(problems) == 1
    assert "'pop3' needs /usr/lib/dovecot/pop3" in problems[0].message
    assert "dovecot-pop3d" in problems[0].message


def test_an_account_that_does_not_exist():
    transcript = Transcript("accepted")
    found = list(rules.account_problems(transcript.parsed, lambda name: False, lambda name: False, transcript.contents))
    assert [problem.message for problem in found] == [
        "user of service auth / unix_listener auth-userdb is 'nosuchuser', and there is no such user on this host"
    ]
    assert list(rules.account_problems(transcript.parsed, lambda name: True, lambda name: True, {})) == []


def test_accounts_that_sysusers_will_make():
    text = '# u comment\ng mail 5000\nu vmail 5000:5000 "Owner of all mail" /srv/mail\nu! locked - - -\nm vmail other\n'
    assert dovecot.declared_accounts(text) == ({"vmail", "locked"}, {"vmail", "locked", "mail"})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("replication_sync_timeout = 2 s\n", "crashes the replicator"),
        ("replication_dsync_parameters = -d -n INBOX -l 30\n", "-n INBOX"),
        ("ssl = required\n", "no ssl_cert"),
    ],
)
def test_combinations_that_doveconf_accepts(text, words):
    config = doveconf.parse(text)
    problems = [problem for combination in rules.COMBINATIONS for problem in combination(config, {})]
    assert len(problems) == 1
    assert words in problems[0].message


def test_combinations_that_are_right():
    config = doveconf.parse(
        "ssl = required\nssl_cert = </a\nreplication_dsync_parameters = -d -n Archive/ -l 30\n"
        "namespace archive {\n  prefix = Archive/\n}\n"
    )
    assert [problem for combination in rules.COMBINATIONS for problem in combination(config, {})] == []


def test_certificates_and_keys_are_paired_where_either_is_set():
    config = doveconf.parse(
        "ssl_cert = </a.crt\nssl_key = </a.key\n"
        "local_name b {\n  ssl_cert = </b.crt\n}\n"
        "protocol lmtp {\n  mail_plugins = x\n}\n"
        "local 10.0.0.1 {\n  ssl = no\n  ssl_cert = </c.crt\n}\n"
    )
    pairs = [(section.title, cert, key) for section, dummy, cert, dummy2, key in rules.ssl_pairs(config)]
    assert pairs == [("", "</a.crt", "</a.key"), ("local_name b", "</b.crt", "</a.key")]


# --- the staged tree


def test_absolute_paths_lead_into_the_tree():
    text = (
        "!include /etc/dovecot/x.d/*.conf\n  !include_try local.conf\n"
        "ssl_cert = </etc/a.crt\nssl_key = </etc/b.key\nkey = value </etc/a.crt\n"
    )
    assert staged_files.redirect(text, "/t", {"/etc/a.crt"}) == (
        "!include /t/etc/dovecot/x.d/*.conf\n  !include_try local.conf\n"
        "ssl_cert = </t/etc/a.crt\nssl_key = </etc/b.key\nkey = value </etc/a.crt\n"
    )


def test_included_files_of_others_are_checked_too(tmp_path):
    root, tree = tmp_path / "root", tmp_path / "tree"
    for place in (root, tree):
        (place / "etc/dovecot/x.d").mkdir(parents=True)
    (tree / "etc/dovecot/dovecot.conf").write_text("!include x.d/*.conf\n!include_try /etc/dovecot/local.conf\n")
    (tree / "etc/dovecot/x.d/10-ours.conf").write_text("a = new\n")
    (root / "etc/dovecot/x.d/10-ours.conf").write_text("a = old\n")
    (root / "etc/dovecot/x.d/20-gone.conf").write_text("b = 1\n")
    (root / "etc/dovecot/x.d/30-foreign.conf").write_text("c = 1\n")
    (root / "etc/dovecot/local.conf").write_text("d = 1\n")
    removed = {"/etc/dovecot/x.d/20-gone.conf"}
    check = dovecot.Check(None, str(tree), set(), removed, lambda path: str(root) + path)
    check.complete()
    assert check.contents == {
        "/etc/dovecot/dovecot.conf": "!include x.d/*.conf\n!include_try /etc/dovecot/local.conf\n",
        "/etc/dovecot/x.d/10-ours.conf": "a = new\n",
        "/etc/dovecot/x.d/30-foreign.conf": "c = 1\n",
        "/etc/dovecot/local.conf": "d = 1\n",
    }


def test_without_a_main_file_there_is_nothing_to_check(tmp_path):
    problems = dovecot.Check(None, str(tmp_path), set()).problems()
    assert "nothing puts /etc/dovecot/dovecot.conf in place" in problems[0].message


@pytest.mark.parametrize(
    ("setting", "word", "line"),
    [("mail_plugins", "quota", 2), ("ssl_cert", "/etc/a.crt", 3), ("user", "vmail", None), ("mail_plugins", "imap", None)],
)
def test_where_a_word_is_written(setting, word, line):
    contents = {"/x": "mail_plugins = imap_quota\n  mail_plugins = a quota b\nssl_cert = </etc/a.crt\nuser = vmailer\n"}
    assert staged_files.locate(contents, setting, word) == (("/x", line) if line else (None, None))


# --- certificates, with a scripted openssl


class Openssl:
    """Public keys by file name; an expired one ends in -old."""

    def __init__(self, keys):
        self.keys = keys
        self.calls = []

    def __call__(self, argv, environ_update=None):
        self.calls.append(argv)
        name = argv[argv.index("-in") + 1].rsplit("/", 1)[1]
        key = self.keys.get(name)
        if key is None:
            return 1, "", "Could not read"
        text = f"-----BEGIN PUBLIC KEY-----\n{key}\n-----END PUBLIC KEY-----\n"
        if argv[1] == "x509":
            text += "Certificate will expire\n" if name.endswith("-old") else "Certificate will not expire\n"
        return 0, text, ""


def pair(tmp_path, cert, key, keys, extra=""):
    root, tree = tmp_path / "root", tmp_path / "tree"
    root.mkdir()
    tree.mkdir()
    for name in keys:
        (root / name).write_text("x")
    check = dovecot.Check(Openssl(keys), str(tree), set(), (), lambda path: str(root) + path)
    config = doveconf.parse(f"ssl_cert = {cert}\nssl_key = {key}\n{extra}")
    return check, [problem.message for problem in check.ssl_problems(config)]


def test_a_pair_that_fits(tmp_path):
    check, problems = pair(tmp_path, "</a.crt", "</a.key", {"a.crt": "K", "a.key": "K"})
    assert problems == []
    assert check.warnings == []
    assert all("-passin" in argv for argv in check.run.calls if argv[1] == "pkey")


def test_a_pair_that_does_not_fit(tmp_path):
    dummy, problems = pair(tmp_path, "</a.crt", "</b.key", {"a.crt": "K", "b.key": "L"})
    assert problems == ["the certificate /a.crt (ssl_cert) does not belong to the private key /b.key: their public keys differ."]


@pytest.mark.parametrize(
    ("cert", "key", "keys", "words"),
    [
        ("</a.crt", "</a.key", {"a.key": "K"}, "ssl_cert is /a.crt, and there is no such file"),
        ("</a.crt", "</a.key", {"a.crt": "K"}, "ssl_key is /a.key, and there is no such file"),
        ("</a.crt", "</a.key", {"a.crt": None, "a.key": "K"}, "/a.crt (ssl_cert) is not a certificate"),
        ("</a.crt", "</a.key", {"a.crt": "K", "a.key": None}, "/a.key (ssl_key) is not a private key"),
        ("</a.crt", "", {"a.crt": "K"}, "ssl_cert is set, but ssl_key is not"),
        ("", "</a.key", {"a.key": "K"}, "ssl_key is set, but ssl_cert is not"),
    ],
)
def test_what_is_wrong_with_a_pair(tmp_path, cert, key, keys, words):
    dummy, problems = pair(tmp_path, cert, key, keys)
    assert len(problems) == 1
    assert words in problems[0]


def test_an_expired_certificate_is_a_warning(tmp_path):
    check, problems = pair(tmp_path, "</a-old", "</a.key", {"a-old": "K", "a.key": "K"})
    assert problems == []
    assert check.warnings == ["the certificate /a-old (ssl_cert) has expired"]


def test_other_files_of_tls_must_exist(tmp_path):
    extra = "ssl_ca = </ca\nssl_client_ca_file = /client-ca\nssl_dh = </dh\n"
    dummy, problems = pair(tmp_path, "</a.crt", "</a.key", {"a.crt": "K", "a.key": "K", "dh": "x"}, extra)
    assert [problem.split(",")[0] for problem in problems] == ["ssl_ca is /ca", "ssl_client_ca_file is /client-ca"]
