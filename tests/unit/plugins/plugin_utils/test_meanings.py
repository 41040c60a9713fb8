"""What values may be, and what of them is refused."""

from __future__ import annotations

import pytest

from ansible_collections.mailcluster.dovecot.plugins.plugin_utils import (
    _calendar,
    _databases,
    _explanations,
    _meanings,
    _schemes,
    _setting_checks,
    _user_names,
)

GOOD = [
    ("dovecot_backend_quota_limit", "5G"),
    ("dovecot_backend_quota_limit", ""),
    ("dovecot_backend_reserve", "5%"),
    ("dovecot_backend_mail_location", "maildir:/var/vmail/%d/%n/Maildir"),
    ("dovecot_mail_home", "/srv/mail/"),
    ("dovecot_auth_cache_ttl", "5 min"),
    ("dovecot_auth_cache_size", "10M"),
    ("dovecot_loadbalancer_timeout", "31m"),
    ("dovecot_replication_dsync_parameters", "-d -N -l 30 -U"),
    ("dovecot_tls_min_protocol", "TLSv1.3"),
    ("dovecot_backend_submission_host", "mta.example.org:25"),
    ("dovecot_shared_storage_volatile_dir", "/dev/shm/dovecot"),
    ("dovecot_mail_plugins", ["zlib", "fts_xapian"]),
    ("dovecot_protocol_mail_plugins", {"imap": ["imap_zlib"], "lmtp": []}),
    ("dovecot_extra_packages", ["dovecot-fts-xapian"]),
]
BAD = [
    ("dovecot_backend_quota_limit", "1 GB"),
    ("dovecot_backend_quota_limit", "unlimited"),
    ("dovecot_backend_reserve", "many"),
    ("dovecot_backend_mail_location", "mdbox:/var/vmail/mail"),
    ("dovecot_backend_mail_location", " maildir:~/Maildir"),
    ("dovecot_mail_home", "var/vmail"),
    ("dovecot_mail_home", "/etc"),
    ("dovecot_mail_uid", 0),
    ("dovecot_ring_port", 0),
    ("dovecot_auth_cache_ttl", "300"),
    ("dovecot_director_user_expire", "5 s"),
    ("dovecot_loadbalancer_timeout", "31"),
    ("dovecot_replication_dsync_parameters", "-d -Z"),
    ("dovecot_tls_min_protocol", "1.2"),
    ("dovecot_mail_user", "root"),
    ("dovecot_hostname", "mail\nssl = no"),
    ("dovecot_shared_storage_mount_options", ["rw,soft"]),
    ("dovecot_nfs_server_export", "/srv/mail\n/etc"),
    ("dovecot_backend_namespaces", [{"name": "archive", "prefx": "x/"}]),
    ("dovecot_director_monitor_interval", 0),
    ("dovecot_backend_purge_time", "every night"),
    ("dovecot_mail_plugins", ["$mail_plugins"]),
    ("dovecot_mail_plugins", ["zlib fts"]),
    ("dovecot_protocol_mail_plugins", {"imaps": ["imap_zlib"]}),
    ("dovecot_protocol_mail_plugins", {"imap": "imap_zlib"}),
    ("dovecot_extra_packages", ["--purge"]),
]


@pytest.mark.parametrize(("variable", "value"), GOOD)
def test_a_value_with_a_meaning_is_taken(variable, value):
    assert _meanings.problems(variable, value) == []


@pytest.mark.parametrize(("variable", "value"), BAD)
def test_a_value_without_is_refused(variable, value):
    assert _meanings.problems(variable, value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("*-*-* 03:00:00", True),
        ("03:30", True),
        ("Mon..Fri 22:30", True),
        ("Sun *-*-* 02:00:00 Europe/Berlin", True),
        ("daily", True),
        ("25:00", False),
        ("every night", False),
        ("03:60", False),
        ("2026-13-01", False),
        ("", False),
    ],
)
def test_calendar_expressions(text, expected):
    assert _calendar.understood(text) is expected


@pytest.mark.parametrize(
    ("name", "good"),
    [
        ("alice@example.org", True),
        ("1001", True),
        ("-rf@example.org", True),
        ("r&d@example.org", False),
        ("a/b@example.org", False),
        ("x@..", False),
        ("@example.org", False),
        ("jörg@example.org", False),
        ("a@b@example.org", False),
    ],
)
def test_names_of_users(name, good):
    assert (_user_names.problem(name) == "") is good


@pytest.mark.parametrize(
    ("password", "good"),
    [
        ("{SHA512-CRYPT}$6$abcdefgh$" + 86 * "x", True),
        ("{PLAIN-MD5}" + 32 * "a", True),
        ("{CRYPT}$2y$05$" + 53 * "x", True),
        ("{SHA512-CRYPT}$6$$" + 86 * "x", True),
        ("{SHA512-CRYPT}$6$abcdefgh$x", False),
        ("{CRYPT}correcthorsebattery", False),
        ("{PLAIN}secret-secret", False),
        ("{SHA512-CRYPT}$6$abc:def$" + 86 * "x", False),
        ("$6$abcdefgh$" + 86 * "x", False),
        ("{NOSUCH}" + 32 * "a", False),
    ],
)
def test_hashes_have_their_length(password, good):
    assert (_schemes.problem(password) == "") is good


@pytest.mark.parametrize(
    "fields",
    [
        {"tls": "maybe"},
        {"hosts": ["db.example.org:5433"]},
        {"hosts": [None]},
        {"port": "postgres"},
        {"password": "secret#1"},
        {"password_query": "SELECT 'a\nb'"},
        {"table": "users; DROP TABLE users"},
        {"home_server": "mail host"},
    ],
)
def test_what_a_file_of_a_database_cannot_hold_is_refused(fields):
    assert _databases.databases([{"driver": "pgsql", **fields}])[1]


def test_a_database_is_normalised():
    found, wrong = _databases.databases([{"driver": "pgsql", "tls": "no", "port": "5432", "password": 12345678, "quota": None}])
    assert (found, wrong) == ([{"driver": "pgsql", "tls": False, "port": 5432, "password": "12345678"}], [])


@pytest.mark.parametrize(
    "tree",
    [
        {"mail_plugins": "zlib"},
        {"protocol lmtp": {"mail_plugins": "sieve"}},
        {"login_greeting": "Mail #1"},
        {"verbose_ssl": "on"},
        {"ssl_min_protocol": "1.2"},
        {"passdb": [{"driver": "pam"}, "x"]},
        {"passdb": [{"args": None}]},
        {"auth_default_realm": None},
        {143: "x"},
        {"!include": "/etc/x"},
        {"doveadm_password": "x"},
        {"disable_plaintext_auth": False},
        {"plugin": {"mail_location": "maildir:~/M"}},
        {"haproxy_trusted_networks": "0.0.0.0/0"},
    ],
)
def test_settings_that_undo_the_roles_or_that_dovecot_reads_otherwise_are_refused(tree):
    assert list(_setting_checks.problems(tree))


@pytest.mark.parametrize(
    "tree",
    [
        {"mail_plugins": "$mail_plugins zlib"},
        {"local_name a.example.org": {"ssl_cert": "</etc/a.pem"}},
        {"ssl": True},
        {"service auth": {"inet_listener sasl": {"port": 12346}}},
        {"plugin": {"zlib_save_level": 6}},
        {"passdb": [{"driver": "pam"}, {"driver": "passwd-file", "args": "/etc/more"}]},
    ],
)
def test_other_settings_are_taken(tree):
    assert list(_setting_checks.problems(tree)) == []


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        ("'vault_bob' is undefined", "it needs 'vault_bob', which is not defined"),
        ("object of type 'dict' has no attribute 'x'", "it needs an entry 'x' that is not there"),
        ("Decryption failed (no vault secrets were found)", "give the vault's password"),
        ("Error rendering template: TypeError: unsupported", "unsupported"),
    ],
)
def test_an_error_is_told_without_names_of_pythons(error, expected):
    words = _explanations.explained(Exception(error))
    assert expected in words
    assert not any(name in words for name in ("Error", "attribute"))
