# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a value of the right type may be: sizes, times, ports, paths.

C(problems) gives (what, words) pairs, as C(_normal.normalised) does.  What depends on other variables or on the topology is
in C(_inventory_checks).
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.mailcluster.dovecot.plugins.plugin_utils import _calendar
from ansible_collections.mailcluster.dovecot.plugins.plugin_utils._normal import Wrong, shown, whole
from ansible_collections.mailcluster.dovecot.plugins.plugin_utils._quoting import refusal
from ansible_collections.mailcluster.dovecot.plugins.plugin_utils._services import OF_PROTOCOL, how_to_leave_out
from ansible_collections.mailcluster.dovecot.plugins.plugin_utils._specification import did_you_mean

NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?\Z")
ACCOUNT = re.compile(r"[a-z_][a-z0-9_-]{0,30}\Z")
# As the packages of Dovecot and Debian have them for themselves.
TAKEN_ACCOUNTS = ("root", "daemon", "bin", "sys", "mail", "nobody", "dovecot", "dovenull", "www-data", "postfix")
PATH = re.compile(r"/[^\s\"'\\#:%{};,]*\Z")
# Their owner or mode would change, or other programs have their files there.
SYSTEM_FOLDERS = frozenset(
    (
        "",
        "/bin",
        "/boot",
        "/dev",
        "/dev/shm",
        "/etc",
        "/home",
        "/lib",
        "/lib64",
        "/media",
        "/mnt",
        "/opt",
        "/proc",
        "/root",
        "/run",
        "/sbin",
        "/srv",
        "/sys",
        "/tmp",
        "/usr",
        "/usr/local",
        "/var",
        "/var/cache",
        "/var/lib",
        "/var/log",
        "/var/mail",
        "/var/run",
        "/var/spool",
        "/var/tmp",
        "/var/lib/dovecot",
        "/run/dovecot",
    )
)
NEVER_BELOW = ("/boot/", "/dev/", "/etc/", "/lib/", "/proc/", "/sys/", "/usr/")
# In ASCII: other alphabets have digits and an 's', too. And of a length that Python makes a number of.
QUOTA = re.compile(r"\d{1,18}[bBkKmMgGtT]?\Z", re.ASCII)
SIZE = re.compile(r"\d{1,18} ?([bB]|[kKmMgGtT]([iI]?[bB])?)?\Z", re.ASCII)
RESERVE = re.compile(r"(\d{1,18}(\.\d{1,18})?[kKmMgGtT]?|\d{1,2}(\.\d{1,18})?%)\Z", re.ASCII)
INTERVAL = re.compile(
    r"(\d{1,18}) ?(ms|msecs?|s|secs?|seconds?|m|mins?|minutes?|h|hours?|d|days?|w|weeks?)\Z", re.IGNORECASE | re.ASCII
)
HAPROXY_INTERVAL = re.compile(r"(\d{1,18})(us|ms|s|m|h|d)\Z", re.ASCII)
SECONDS = {"m": 60, "h": 3600, "d": 86400, "w": 604800, "s": 1}
LOCATION_DRIVERS = ("mdbox", "sdbox", "maildir", "mbox")
HOST_AND_PORT = re.compile(r"([A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])(:(\d{1,5}))?\Z", re.ASCII)
NAMESPACE_KEYS = (
    "name",
    "type",
    "separator",
    "prefix",
    "location",
    "alias_for",
    "inbox",
    "hidden",
    "list",
    "subscriptions",
    "ignore_on_failure",
    "disabled",
    "order",
)
PLUGIN = re.compile(r"[a-z0-9_]+\Z")
# Dovecot's protocol blocks in which a mailbox is opened.
PLUGIN_PROTOCOLS = ("imap", "pop3", "lmtp", "lda", "sieve", "submission", "doveadm", "indexer-worker")
PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]+\Z")
DSYNC_FLAGS = frozenset("Nd1fRPEUDv")
DSYNC_ARGUMENTS = frozenset("lrmgnxasTteOI")
BREAKS = re.compile(r"[\x00-\x1f\x7f]")
RATE = re.compile(r"[1-9][0-9]{0,5}[KMG]\Z")
# Of a value that has the type of its specification.
Check = Callable[[Any], Iterator[Wrong]]


def problems(variable: str, value: Any) -> list[Wrong]:
    found = _broken(variable, value)
    return found or list(CHECKS[variable](value) if variable in CHECKS else ())


def _broken(variable: str, value: Any) -> list[Wrong]:
    """A line that breaks would begin another setting."""
    if isinstance(value, str) and BREAKS.search(value) and variable not in MULTILINE:
        return [(repr(value.strip())[:60], "has a line break or a control character: write it on one line")]
    return []


MULTILINE = (
    "dovecot_tls_cert",
    "dovecot_tls_key",
    "dovecot_replication_ca",
    "dovecot_doveadm_password",
    "dovecot_proxy_master_password",
)


def matching(pattern: re.Pattern[str], words: str, empty: bool = False) -> Check:
    def check(value: str) -> Iterator[Wrong]:
        if not (pattern.match(value) if value != "" else empty):
            yield shown("", value), words

    return check


def between(lowest: float, highest: float, words: str = "", above: bool = False) -> Check:
    def check(value: float) -> Iterator[Wrong]:
        if not lowest <= value <= highest or (above and value == lowest):
            reach = f"above {lowest}" if above else f"from {lowest}"
            yield shown("", value), f"is no number {reach} to {highest}" + (f": {words}" if words else "")

    return check


def interval(lowest: int, words: str) -> Check:
    def check(value: str) -> Iterator[Wrong]:
        found = INTERVAL.match(value)
        if value == "0" and lowest == 0:
            return
        if not found:
            yield shown("", value), f"is no time with its unit: write it as {words}"
        elif not found.group(2).lower().startswith("ms") and int(found.group(1)) * SECONDS[found.group(2)[0].lower()] < lowest:
            yield shown("", value), f"is too short: write {lowest} s or more, as {words}"

    return check


def haproxy_interval(value: str) -> Iterator[Wrong]:
    found = HAPROXY_INTERVAL.match(value)
    if not found or int(found.group(1)) == 0:
        yield shown("", value), "is no time with its unit as haproxy has it: write it as 31m or 12h"


def calendar(value: str) -> Iterator[Wrong]:
    if whole(value) is not None:
        yield shown("", value), 'is what YAML makes of a time without quotes: write it as "*-*-* 03:30:00", in quotes'
    elif not _calendar.understood(value):
        yield shown("", value), 'is no calendar expression of systemd: write it as "*-*-* 03:00:00" (`man systemd.time`)'


def path(words: str, system: bool = False, empty: bool = False) -> Check:
    def check(value: str) -> Iterator[Wrong]:
        if value == "" and empty:
            return
        plain = value.rstrip("/")
        if not PATH.match(value) or "//" in value or {".", ".."} & set(value.split("/")):
            yield shown("", value), f"is no absolute path without blanks and signs: write it as {words}"
        elif not system and (plain in SYSTEM_FOLDERS or plain.startswith(NEVER_BELOW) and not plain.startswith("/dev/shm/")):
            yield shown("", value), f"is a folder of the system, whose owner and mode would change: use another, as {words}"

    return check


def account(value: str) -> Iterator[Wrong]:
    if value in TAKEN_ACCOUNTS:
        yield shown("", value), "is an account that the system or Dovecot has for itself: use one for the mail alone, as vmail"
    elif not ACCOUNT.match(value):
        yield shown("", value), "is no name of an account: use small letters, digits, '_' and '-', as vmail"


def protocols(value: Sequence[str]) -> Iterator[Wrong]:
    unknown = [word for word in value if word not in OF_PROTOCOL]
    for number, word in enumerate(value, 1):
        if word in unknown:
            like = did_you_mean(word.lower().removeprefix("manage"), OF_PROTOCOL)
            yield f"item {number} {shown('', word)}", f"is unknown: use {', '.join(OF_PROTOCOL)}{'; ' + like if like else ''}"
        elif word in value[: number - 1]:
            yield f"item {number} {shown('', word)}", "is there already: remove it"
    if unknown:
        return
    if "lmtp" not in value:
        yield shown("", ", ".join(value)), "lacks lmtp, by which all mail comes in: add it"
    if not {"imap", "pop3"} & set(value):
        yield shown("", ", ".join(value)), "has neither imap nor pop3, by which mail is read: add one of them"


def ports(given: Mapping[str, int]) -> Iterator[Wrong]:
    for service, port in given.items():
        yield from ((f"{service}: {what}", words) for what, words in port_number(port, how_to_leave_out(service)))


def port_number(value: int, how_to_do_without: str = "; it is needed") -> Iterator[Wrong]:
    if not 1 <= value <= 65535:
        yield shown("", value), "is no port: write a number from 1 to 65535" + (how_to_do_without if value == 0 else "")


def mail_location(value: str) -> Iterator[Wrong]:
    driver, colon, rest = value.partition(":")
    if value != value.strip() or not value:
        yield shown("", value), "is empty, or has blanks at an end: write it as mdbox:~/mdbox"
    elif not colon or driver.lower() not in LOCATION_DRIVERS:
        like = did_you_mean(driver.lower(), LOCATION_DRIVERS)
        yield shown("", value), f"begins with no format of Dovecot's: write it as mdbox:~/mdbox{'; ' + like if like else ''}"
    elif re.search(r"[\s#\"']", value):
        yield shown("", value), "has blanks, quotes or '#', which end it: write it as mdbox:~/mdbox"
    elif not rest.split(":")[0].startswith("~/") and not re.search(r"%(L?[un]|\{(user|username)\})", rest.split(":")[0]):
        yield shown("", value), "is one place for all users, who would share one mailbox: write it as mdbox:~/mdbox, or put %n in"


def namespaces(value: Sequence[Mapping[str, Any]]) -> Iterator[Wrong]:
    seen = {"inbox"}
    for number, space in enumerate(value, 1):
        item, name = f"item {number}", space.get("name")
        if not isinstance(name, str) or not NAME.match(name):
            yield item, f"has the name '{name}': give it a name of letters, digits, '_' and '-'"
        elif name in seen:
            yield item, f"has the name '{name}', which another namespace has: choose one that is free"
        else:
            seen.add(name)
        for key, setting in space.items():
            if key not in NAMESPACE_KEYS:
                like = did_you_mean(key, NAMESPACE_KEYS)
                yield item, f"has '{key}', which is unknown: {like or 'use ' + ', '.join(NAMESPACE_KEYS)}"
            elif not isinstance(setting, (str, int)):
                yield item, f"has '{setting}' for {key}: write a text, a number, or true or false"
            elif key != "name" and (BREAKS.search(str(setting)) or " #" in str(setting)):
                yield item, f"has a line break, or a '#' behind a blank, in {key}, which reads as a comment: remove it"
            elif key != "name" and refusal(setting, "expression"):
                yield item, f"has '{setting}' for {key}, which {refusal(setting, 'expression')}: remove it"


def dsync_parameters(value: str) -> Iterator[Wrong]:
    try:
        words = shlex.split(value)
    except ValueError:
        return  # said where the words are looked at
    waiting = list(words)
    while waiting:
        word = waiting.pop(0)
        if not re.match(r"-[A-Za-z0-9]", word):
            yield shown("", value), f"has '{word}', which dsync takes for a destination: remove it"
            return
        flags = word[1:]
        while flags:
            flag, flags = flags[0], flags[1:]
            if flag in DSYNC_ARGUMENTS:
                if not flags and not waiting:
                    yield shown("", value), f"ends with -{flag}, which needs an argument: add it, or remove -{flag}"
                elif not flags:
                    waiting.pop(0)
                break
            if flag not in DSYNC_FLAGS:
                yield shown("", value), f"has -{flag}, which dsync does not know: remove it (`man doveadm-sync`)"
                return


def quota_backend(value: str) -> Iterator[Wrong]:
    driver = value.split(":", 1)[0]
    if driver not in ("count", "dict", "fs", "imapc") or " #" in value:
        yield shown("", value), "is no quota backend that counts in every mail format: use 'count:User quota'"


def tls_version(value: str) -> Iterator[Wrong]:
    if value not in ("TLSv1.2", "TLSv1.3"):
        yield shown("", value), "is no TLS version that is allowed: write TLSv1.2 or TLSv1.3"


def host_and_port(value: str) -> Iterator[Wrong]:
    found = HOST_AND_PORT.match(value)
    if value and (not found or (found.group(4) and not 1 <= int(found.group(4)) <= 65535)):
        yield shown("", value), "is no host, or host and port: write it as mta.example.org:25"


def host_name(value: str) -> Iterator[Wrong]:
    if not NAME.match(value) or len(value) > 64:
        yield (
            shown("", value),
            (
                "is no host name: use letters, digits, '-' and '.', at most 64"
                if value
                else "is empty: give the node's name, or leave it out for its name in the inventory"
            ),
        )


def source(value: str) -> Iterator[Wrong]:
    if re.search(r"[\s\"'\\#]", value):
        yield shown("", value), "has blanks, quotes or '#': write it as mount takes it, as nfs.example.org:/srv/mail"


def secret(value: str) -> Iterator[Wrong]:
    if value.startswith("<"):
        yield "(value not shown)", "begins with '<', which makes a file's name of it: use letters and digits"


def pair_secret(value: str) -> Iterator[Wrong]:
    if len(value) < 32:
        words = f"has {len(value)} characters" if value else "is missing"
        yield "", f"{words}, at least 32 are needed: generate one, as with `openssl rand -hex 32`, and keep it in ansible-vault"


def mount_options(value: Sequence[str]) -> Iterator[Wrong]:
    for option in value:
        if "," in option or re.search(r"[\s\"'\\#]", option) or not option:
            yield shown("", option), "is more than one option, or has blanks: write one option an item"


many = 1000000


def plugins(value: Sequence[str]) -> Iterator[Wrong]:
    for name in value:
        if not PLUGIN.match(name):
            yield shown("", name), "is no name of a plugin: write one an item, as zlib; what the roles load stays"


def protocol_plugins(value: Mapping[str, Any]) -> Iterator[Wrong]:
    for protocol, names in value.items():
        if protocol not in PLUGIN_PROTOCOLS:
            like = did_you_mean(str(protocol), PLUGIN_PROTOCOLS)
            yield shown("", protocol), f"is no protocol: use {', '.join(PLUGIN_PROTOCOLS)}" + (f"; {like}" if like else "")
        elif not isinstance(names, (list, tuple)) or not all(isinstance(name, str) for name in names):
            yield f"{protocol}:", "is no list of plugins: write one an item, as [imap_zlib]"
        else:
            yield from ((f"{protocol}: {what}", words) for what, words in plugins(names))


def packages(value: Sequence[str]) -> Iterator[Wrong]:
    for name in value:
        if not PACKAGE.match(name):
            yield shown("", name), "is no name of a Debian package: write one an item, as dovecot-fts-xapian"


CHECKS: dict[str, Check] = {
    "dovecot_hostname": host_name,
    "dovecot_sessions": between(100, 100000, "write how many clients it is made for, as docs/sizing.md tells"),
    "dovecot_protocols": protocols,
    "dovecot_ports": ports,
    "dovecot_proxy_protocol_ports": ports,
    "dovecot_health_ports": ports,
    "dovecot_ring_port": port_number,
    "dovecot_doveadm_port": port_number,
    "dovecot_dsync_port": port_number,
    "dovecot_agent_port": port_number,
    "dovecot_sasl_port": between(0, 65535, "a port, or 0 for none"),
    "dovecot_doveadm_password": secret,
    "dovecot_tls_cert_file": path("/etc/dovecot/tls/cert.pem", system=True),
    "dovecot_tls_key_file": path("/etc/dovecot/tls/key.pem", system=True),
    "dovecot_tls_min_protocol": tls_version,
    "dovecot_auth_cache_size": matching(SIZE, "is no size: write it as 10M, or 0"),
    "dovecot_auth_cache_ttl": interval(0, "5 min"),
    "dovecot_auth_cache_negative_ttl": interval(0, "30 s"),
    "dovecot_mail_user": account,
    "dovecot_mail_uid": between(1, 4294967293, "0 is root, who has no mail here"),
    "dovecot_mail_gid": between(1, 4294967293, "0 is the group root"),
    "dovecot_mail_home": path("/var/vmail"),
    "dovecot_backend_mail_location": mail_location,
    "dovecot_backend_namespaces": namespaces,
    "dovecot_mail_plugins": plugins,
    "dovecot_protocol_mail_plugins": protocol_plugins,
    "dovecot_extra_packages": packages,
    "dovecot_backend_quota": quota_backend,
    "dovecot_backend_quota_limit": matching(
        QUOTA, "is no size: write digits and one of K, M, G, T, as 5G; empty is no limit", True
    ),
    "dovecot_backend_reserve": matching(RESERVE, "is neither a size nor a percentage: write it as 1G or 5%"),
    "dovecot_backend_submission_host": host_and_port,
    "dovecot_backend_purge_time": calendar,
    "dovecot_backend_purge_spread": between(0, 86400, "seconds within a day"),
    "dovecot_replication_dsync_parameters": dsync_parameters,
    "dovecot_replication_max_conns": between(1, 1000),
    "dovecot_replication_ca_file": path("/etc/dovecot/tls/replication-ca.pem", system=True),
    "dovecot_replication_catchup_time": calendar,
    "dovecot_replication_catchup_spread": between(0, 86400, "seconds within a day"),
    "dovecot_director_user_expire": interval(10, "15 min"),
    "dovecot_director_user_kick_delay": interval(0, "2 secs"),
    "dovecot_director_monitor_interval": between(0, 3600, "seconds between two checks", above=True),
    "dovecot_director_monitor_timeout": between(0, 300, "seconds that a greeting may take", above=True),
    "dovecot_director_monitor_fall": between(1, 100),
    "dovecot_director_monitor_rise": between(1, 100),
    "dovecot_director_monitor_hold": between(0, 86400),
    "dovecot_director_monitor_hold_timeout": between(0, 300, "seconds that a greeting may take", above=True),
    "dovecot_loadbalancer_maxconn": between(1, many),
    "dovecot_loadbalancer_timeout": haproxy_interval,
    "dovecot_loadbalancer_hard_stop_after": haproxy_interval,
    "dovecot_proxy_timeout": between(1, 3600),
    "dovecot_service_address_advert_interval": between(0.01, 40, "seconds, as 0.3"),
    "dovecot_nfs_server_export": path("/srv/mail"),
    "dovecot_nfs_server_threads": between(1, 1024),
    "dovecot_shared_storage_source": source,
    "dovecot_shared_storage_mount_options": mount_options,
    "dovecot_shared_storage_index_dir": path("/var/lib/dovecot-indexes", empty=True),
    "dovecot_shared_storage_volatile_dir": path("/dev/shm/dovecot", empty=True),
    "dovecot_shared_storage_max_clock_difference": between(0, 3600, "seconds", above=True),
    "dovecot_shared_storage_timeout": between(1, 3600),
    "dovecot_active_passive_storage": matching(re.compile(r"(drbd|lun)\Z"), "is unknown: set it to drbd or lun"),
    "dovecot_active_passive_mount_options": mount_options,
    "dovecot_active_passive_existing_filesystem": matching(
        re.compile(r"[0-9A-Fa-f-]{8,36}\Z"), "is no UUID of a file system, as blkid prints it", empty=True
    ),
    "dovecot_active_passive_fencing_delay": between(0, 300, "seconds"),
    "dovecot_active_passive_watchdog": matching(
        re.compile(r"/dev/[A-Za-z0-9/_.-]+\Z"), "is no path of a device: write it as /dev/watchdog"
    ),
    "dovecot_active_passive_watchdog_timeout": between(5, 120, "whole seconds"),
    "dovecot_active_passive_secret": pair_secret,
    "dovecot_active_passive_corosync_port": between(1, 65534, "a port; with a second network the next one is used too"),
    "dovecot_active_passive_drbd_port": port_number,
    "dovecot_active_passive_verify_time": calendar,
    "dovecot_active_passive_resync_rate": matching(RATE, "is no rate: write it as 100M, per second"),
}
