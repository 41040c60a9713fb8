# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What doveconf (2.3) does not see: a plugin that is not installed, a protocol without its program, an unknown account.

Each rule takes the parsed configuration and yields problems.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from ansible_collections.mailcluster.dovecot.plugins.module_utils._doveconf import Problem, Section
from ansible_collections.mailcluster.dovecot.plugins.module_utils._staged_files import locate

Contents = Mapping[str, str]  # path -> text
Known = Callable[[str], bool]

PLUGIN_DIR = "/usr/lib/dovecot/modules"
LIBEXEC_DIR = "/usr/lib/dovecot"
PAIRS = (("ssl_cert", "ssl_key"), ("ssl_alt_cert", "ssl_alt_key"))

# Which Debian package brings what is missing.
PLUGIN_PACKAGES = {
    "antispam": "dovecot-antispam",
    "fts_lucene": "dovecot-lucene",
    "fts_solr": "dovecot-solr",
    "fts_xapian": "dovecot-fts-xapian",
    "fts_flatcurve": "dovecot-fts-flatcurve",
    "imap_acl": "dovecot-imapd",
    "imap_filter_sieve": "dovecot-sieve",
    "imap_quota": "dovecot-imapd",
    "imap_sieve": "dovecot-sieve",
    "imap_zlib": "dovecot-imapd",
    "sieve": "dovecot-sieve",
    "sieve_extprograms": "dovecot-sieve",
    "sieve_imapsieve": "dovecot-sieve",
}
PROTOCOLS: dict[str, tuple[tuple[str, ...], str]] = {
    "imap": (("imap", "imap-login"), "dovecot-imapd"),
    "imaps": (("imap", "imap-login"), "dovecot-imapd"),
    "pop3": (("pop3", "pop3-login"), "dovecot-pop3d"),
    "pop3s": (("pop3", "pop3-login"), "dovecot-pop3d"),
    "lmtp": (("lmtp",), "dovecot-lmtpd"),
    "sieve": (("managesieve", "managesieve-login"), "dovecot-managesieved"),
    "submission": (("submission", "submission-login"), "dovecot-submissiond"),
}


class Pair(NamedTuple):
    """A certificate and a key that belong together, values as Dovecot has them: `</path`."""

    section: Section
    cert_setting: str
    cert: str
    key_setting: str
    key: str


def is_plugin(file_name: str, plugin: str) -> bool:
    return re.match(r"lib(\d+_)?%s(_plugin)?\.so$" % re.escape(plugin), file_name) is not None


def plugin_problems(config: Section, listing: Callable[[str], list[str]], contents: Contents) -> Iterator[Problem]:
    """listing(directory) -> its file names."""
    folder = config.settings.get("mail_plugin_dir", PLUGIN_DIR)
    asked = []
    for section in config.filters():
        for word in section.settings.get("mail_plugins", "").split():
            asked.append((word, "mail_plugins", section.where("mail_plugins"), folder))
    for section in config.walk():
        if section.kind == "plugin":
            sieve = section.settings.get("sieve_plugin_dir", folder + "/sieve")
            for word in section.settings.get("sieve_plugins", "").split():
                asked.append((word, "sieve_plugins", "sieve_plugins of plugin", sieve))
    seen: set[tuple[str, str]] = set()
    listings: dict[str, list[str]] = {}
    for word, setting, where, directory in asked:
        if (word, directory) in seen:
            continue
        seen.add((word, directory))
        if directory not in listings:
            listings[directory] = listing(directory)
        if any(is_plugin(name, word) for name in listings[directory]):
            continue
        path, line = locate(contents, setting, word)
        if word in PLUGIN_PACKAGES:
            remedy = "Debian's package %s brings it." % PLUGIN_PACKAGES[word]
        else:
            remedy = "Is the name right, and is the package that brings it installed?"
        yield Problem(
            "the plugin '%s' (%s) is not installed: no lib*_%s_plugin.so in %s. %s" % (word, where, word, directory, remedy),
            path,
            line,
            absent=True,
        )


def protocol_problems(config: Section, exists: Known, contents: Contents) -> Iterator[Problem]:
    """exists(path) -> bool. Only what `protocols` names: a default list holds what is installed."""
    folder = config.settings.get("libexec_dir", LIBEXEC_DIR)
    for protocol in config.settings.get("protocols", "").split():
        programs, package = PROTOCOLS.get(protocol, ((), ""))
        missing = [name for name in programs if not exists("%s/%s" % (folder, name))]
        if missing:
            path, line = locate(contents, "protocols", protocol)
            yield Problem(
                "the protocol '%s' needs %s/%s, which is not installed. Debian's package %s brings it."
                % (protocol, folder, missing[0], package),
                path,
                line,
                absent=True,
            )


def account_problems(config: Section, known_user: Known, known_group: Known, contents: Contents) -> Iterator[Problem]:
    """Dovecot does not start when a service or one of its sockets names an account that does not exist."""
    seen: set[tuple[str, str]] = set()
    for section in config.walk():
        if section.kind not in ("service", "unix_listener", "fifo_listener"):
            continue
        for setting, known in (("user", known_user), ("group", known_group)):
            value = section.settings.get(setting, "")
            if not value or value.startswith("$") or value.isdigit() or (setting, value) in seen or known(value):
                continue
            seen.add((setting, value))
            path, line = locate(contents, setting, value)
            yield Problem(
                "%s is '%s', and there is no such %s on this host" % (section.where(setting), value, setting),
                path,
                line,
                absent=True,
            )


def ssl_pairs(config: Section) -> Iterator[Pair]:
    """The certificate and key that belong together, wherever at least one of them is set."""
    for section in config.filters():
        if section.effective("ssl", "yes") == "no":
            continue
        for cert_setting, key_setting in PAIRS:
            if cert_setting in section.settings or key_setting in section.settings:
                cert, key = section.effective(cert_setting), section.effective(key_setting)
                if cert or key:
                    yield Pair(section, cert_setting, cert, key_setting, key)


def replication_problems(config: Section, contents: Contents) -> Iterator[Problem]:
    """Settings that doveconf accepts and that stop replication, silently."""
    if config.settings.get("replication_sync_timeout"):
        path, line = locate(contents, "replication_sync_timeout", config.settings["replication_sync_timeout"])
        yield Problem(
            "replication_sync_timeout crashes the replicator in every release of Dovecot 2.3. Leave it out.", path, line
        )
    prefixes = [section.settings.get("prefix", "") for section in config.sections if section.kind == "namespace"]
    words = config.settings.get("replication_dsync_parameters", "").split()
    for flag, name in zip(words, words[1:]):
        if flag == "-n" and name not in prefixes:
            path, line = locate(contents, "replication_dsync_parameters", name)
            yield Problem(
                "replication_dsync_parameters has '-n %s', but -n takes the prefix of a namespace and none has this "
                "one: every synchronisation would fail. Use -N (all namespaces)." % name,
                path,
                line,
            )


def tls_problems(config: Section, contents: Contents) -> Iterator[Problem]:
    if config.settings.get("ssl") == "required" and not config.settings.get("ssl_cert"):
        path, line = locate(contents, "ssl", "required")
        yield Problem("ssl = required, but there is no ssl_cert: nobody could log in.", path, line)


# The place for combinations that doveconf accepts but that break. Each: (config, contents) -> Problems.
COMBINATIONS: tuple[Callable[[Section, Contents], Iterator[Problem]], ...] = (replication_problems, tls_problems)
