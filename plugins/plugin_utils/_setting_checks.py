# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What C(dovecot_settings) cannot say: lines that Dovecot reads otherwise, and settings that the roles make from variables."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.mailcluster.dovecot.plugins.plugin_utils._normal import Wrong
from ansible_collections.mailcluster.dovecot.plugins.plugin_utils._quoting import CONTROL, refusal

# They are made from these variables, and a value here would hold for a part of the nodes or of the services only.
OWNED = {
    "auth_cache_negative_ttl": "dovecot_auth_cache_negative_ttl",
    "auth_cache_size": "dovecot_auth_cache_size",
    "auth_cache_ttl": "dovecot_auth_cache_ttl",
    "director_user_expire": "dovecot_director_user_expire",
    "director_user_kick_delay": "dovecot_director_user_kick_delay",
    "doveadm_password": "dovecot_doveadm_password",
    "doveadm_port": "dovecot_doveadm_port",
    "first_valid_uid": "dovecot_mail_uid",
    "hostname": "dovecot_hostname",
    "mail_gid": "dovecot_mail_gid",
    "mail_location": "dovecot_backend_mail_location",
    "mail_uid": "dovecot_mail_uid",
    "protocols": "dovecot_protocols",
    "replication_dsync_parameters": "dovecot_replication_dsync_parameters",
    "replication_max_conns": "dovecot_replication_max_conns",
    "ssl_cert": "dovecot_tls_cert",
    "ssl_key": "dovecot_tls_key",
    "ssl_min_protocol": "dovecot_tls_min_protocol",
    "submission_host": "dovecot_backend_submission_host",
    "submission_ssl": "dovecot_backend_submission_ssl",
}
# A certificate of its own for another name or address is nothing that a variable has.
PLACES_OF_THEIR_OWN = ("local ", "local_name ")
# They follow from the inventory's groups and addresses.
DERIVED = ("director_mail_servers", "director_servers", "haproxy_trusted_networks", "shutdown_clients")
# What the roles have put there must stay.
ADDED_TO = {"login_trusted_networks": "", "mail_plugins": ", or use dovecot_mail_plugins or dovecot_protocol_mail_plugins"}
MUST_BE_ON = {"disable_plaintext_auth": "passwords would go over the network in clear"}
# What these would break, where they stand for the whole node.
FIXED = {
    "auth_username_format": "all names are in small letters here, and directors would send one user to two backends",
    "ssl": "clients and load balancers are served with TLS",
}
WORDS = {"on": "true", "off": "false", "true": "true", "false": "false"}
KEY = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:/*-]*\Z")
SECTION = re.compile(r"[a-z_]+( [^\s{}#\"]+| \"[^\"{}#]*\")?\Z")


def problems(tree: Mapping[Any, Any], path: tuple[str, ...] = ()) -> Iterator[Wrong]:
    """(setting, words) pairs."""
    for key, value in tree.items():
        where = "/".join((*path, str(key)))
        blocks = sections(value)
        is_section = bool(blocks)
        if not isinstance(key, str) or not (SECTION if is_section else KEY).match(key):
            yield (
                where,
                (f"'{key}' is no name of a {'section' if is_section else 'setting'}: correct it; files cannot be included here"),
            )
        elif is_section:
            for block in blocks:
                yield from problems(block, (*path, key))
        else:
            elsewhere = key in ("ssl_cert", "ssl_key") and any(part.startswith(PLACES_OF_THEIR_OWN) for part in path)
            yield from _value(where, key, value, {} if elsewhere else OWNED)


def sections(value: Any) -> Sequence[Mapping[Any, Any]]:
    """The blocks of a key: a mapping is one, a list of mappings several of the same name."""
    blocks = value if isinstance(value, (list, tuple)) else [value]
    return blocks if blocks and all(hasattr(block, "items") for block in blocks) else []


def leaves(tree: Mapping[Any, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """(path, value) of each setting, in whatever section."""
    for key, value in tree.items():
        blocks = sections(value)
        for block in blocks:
            yield from leaves(block, (*path, str(key)))
        if not blocks:
            yield (*path, str(key)), value


def _value(where: str, key: str, value: Any, owned: Mapping[str, str]) -> Iterator[Wrong]:
    shown = "value not shown" if "pass" in key else value
    if value is None:
        yield where, "is empty: give it a value, or remove it; a section needs at least one setting"
    elif isinstance(value, (list, tuple)):
        yield where, f"is a list ({', '.join(map(str, value))}): write the words into one text, with blanks between them"
    elif key in owned:
        yield where, f"({shown}) is made from a variable: use {owned[key]}"
    elif key in DERIVED:
        yield where, f"({shown}) follows from the inventory's groups and addresses alone: remove it"
    elif key in ADDED_TO and f"${key}" not in str(value).split():
        yield where, f"({shown}) takes away what the roles have put there: begin the value with ${key}{ADDED_TO[key]}"
    elif key in MUST_BE_ON and value not in (True, "yes"):
        yield where, f"({shown}) is switched off, and {MUST_BE_ON[key]}: remove it"
    elif key in FIXED and where == key and not (key == "ssl" and value in (True, "yes", "required")):
        yield where, f"({shown}) cannot be changed, since {FIXED[key]}: remove it"
    elif isinstance(value, str):
        yield from _text(where, value, shown)
    elif why := refusal(value):
        yield where, f"({shown}) {why}: write it in quotes"


def _text(where: str, value: str, shown: str) -> Iterator[Wrong]:
    if CONTROL.search(value):
        yield where, "has a line break or a control character, behind which another setting would begin: write one line"
    elif re.search(r"(^|\s)#", value):
        yield where, f"({shown}) has a '#' behind a blank, which reads as a comment: leave it out"
    elif value.lower() in WORDS:
        yield where, f"('{shown}') is a text that is neither yes nor no to Dovecot: write {WORDS[value.lower()]} without quotes"
    elif why := refusal(value, "expression"):
        yield where, f"('{shown}') {why}: remove it"
