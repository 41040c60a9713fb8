# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What there is on a node, and what it means: packages, units, addresses, kernel settings, secrets, space."""

from __future__ import annotations

import glob
import hashlib
import hmac
import json
import os
import pwd
import re
import ssl
import time
from typing import TYPE_CHECKING, Any, NamedTuple, NotRequired, TypedDict

from ansible_collections.mailcluster.dovecot.plugins.module_utils._mounts import mount_point_of

if TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

# Where the package lists are still empty, the release tells what it would install.
FIRST_RELEASE_WITH_24: dict[str, tuple[int, ...]] = {"debian": (13,), "ubuntu": (25, 10)}
KNOWN_23: dict[str, tuple[int, ...]] = {"debian": (11,), "ubuntu": (20, 4)}
# Where a secret stands: files, and what is around it there. A proxy has the master's in the fields of its databases.
WORD = r"([A-Za-z0-9_.-]+)"
DEPLOYED: dict[str, tuple[list[str], re.Pattern[str]]] = {
    "dovecot_doveadm_password": (["mailcluster.d/11-secrets.conf"], re.compile(r"^doveadm_password = (.+)$")),
    "dovecot_proxy_master_password": (
        ["proxy-master.passwd", "users.passwd", "databases/*.conf.ext"],
        re.compile(r"^proxy:\{PLAIN\}%s:|(?<!\w)pass=%s|'%s' AS pass\b" % (WORD, WORD, WORD)),
    ),
    "dovecot_active_passive_secret": (["/etc/corosync/authkey"], re.compile(r"^([0-9a-f]{128})$")),
}
SYSCTL = "/etc/sysctl.d/60-mailcluster-dovecot.conf"
# Written by mailcluster-dovecot-space
SPACE = "/run/mailcluster-dovecot/space.json"
# Written by playbooks/fill_node.yml
FILLING = "/var/lib/mailcluster-dovecot/filling"


class UnitState(NamedTuple):
    active: str
    file: str


class Setting(TypedDict):
    """A setting of the kernel; ours: our file sets it."""

    value: str
    ours: bool


class Account(TypedDict):
    uid: int
    gid: int


class Expiry(TypedDict):
    """Until when a certificate is valid, and the days until then."""

    until: str
    days: int
    file: NotRequired[str]


def parse_os_release(text: str) -> dict[str, str]:
    """The assignments in I(text) of /etc/os-release, quotes removed."""
    pairs = (line.split("=", 1) for line in text.splitlines() if "=" in line)
    return {key.strip(): value.strip().strip("\"'") for key, value in pairs}


def upstream_version(debian_version: str | None) -> str | None:
    """C(2.3.19.1) of C(1:2.3.19.1+dfsg1-2.1+deb12u7)."""
    match = re.match(r"(?:\d+:)?(\d+(?:\.\d+)*)", debian_version or "")
    return match.group(1) if match else None


def version_of_release(os_release: dict[str, str]) -> str | None:
    """The Dovecot series of a known release, None of an unknown one."""
    system = os_release.get("ID", "")
    release = tuple(int(part) for part in re.findall(r"\d+", os_release.get("VERSION_ID", "")))
    if system not in KNOWN_23 or not release or release < KNOWN_23[system]:
        return None
    return "2.4.0" if release >= FIRST_RELEASE_WITH_24[system] else "2.3.0"


def interface_addresses(listing: str) -> list[tuple[str, str]]:
    """C((interface, address)) pairs of the output of C(ip -json address)."""
    return [
        (link["ifname"], entry["local"])
        for link in json.loads(listing)
        for entry in link.get("addr_info", ())
        if entry.get("scope") == "global" and "local" in entry
    ]


def installed_versions(module: AnsibleModule, packages: list[str]) -> dict[str, str]:
    """Package name to version, of those that are installed whole."""
    _rc, out, _err = module.run_command(
        ["dpkg-query", "--show", "--showformat", "${Package}\t${db:Status-Status}\t${Version}\n"] + packages
    )
    rows = (line.split("\t") for line in out.splitlines())
    return {row[0]: row[2] for row in rows if len(row) == 3 and row[1] == "installed"}


def parse_units(shown: str) -> dict[str, UnitState]:
    """Unit name to (ActiveState, UnitFileState), of the blocks that C(systemctl show) prints."""
    units = {}
    for block in shown.strip().split("\n\n"):
        values = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        if "Id" in values:
            units[values["Id"]] = UnitState(values.get("ActiveState", ""), values.get("UnitFileState", ""))
    return units


def states(module: AnsibleModule, names: list[str]) -> dict[str, UnitState]:
    """Unit name to (ActiveState, UnitFileState) of I(names)."""
    if not names:
        return {}
    _rc, shown, _err = module.run_command(["systemctl", "show", "--property=Id,ActiveState,UnitFileState", "--"] + names)
    units = parse_units(shown)
    return {name: units.get(name, UnitState("", "")) for name in names}


def first_line(path: str) -> str | None:
    """Of a file; None when there is none."""
    try:
        with open(path, encoding="utf-8") as stream:
            return stream.readline().strip()
    except FileNotFoundError:
        return None


def kernel(names: list[str], folder: str = "/proc/sys", ours: str = SYSCTL) -> dict[str, Setting]:
    """Setting to its value, and whether it is our file that sets it; without what this kernel does not know."""
    try:
        with open(ours, encoding="utf-8") as stream:
            set_here = {line.partition("=")[0].strip() for line in stream if not line.startswith("#")}
    except FileNotFoundError:
        set_here = set()
    values = {name: first_line(os.path.join(folder, name.replace(".", "/"))) for name in names}
    return {name: {"value": value, "ours": name in set_here} for name, value in values.items() if value is not None}


def deployed(secret: str, folder: str = "/etc/dovecot") -> str | None:
    """The value of I(secret) that is on this node, None when there is none."""
    names, pattern = DEPLOYED[secret]
    for path in (path for name in names for path in sorted(glob.glob(os.path.join(folder, name)))):
        with open(path, encoding="utf-8") as stream:
            match = next(filter(None, map(pattern.search, stream)), None)
        if match:
            return next(filter(None, match.groups()))
    return None


def digest(nonce: str, text: str | None) -> str | None:
    """What can be compared with another digest of the same run, and tells nothing of the text."""
    return None if text is None else hmac.new(nonce.encode(), text.encode(), hashlib.sha256).hexdigest()


def space(path: str = SPACE) -> Any:
    """What a backend has noted of its disk; None when nothing is, or what is cannot be read."""
    try:
        with open(path, encoding="utf-8") as stream:
            return json.load(stream)
    except (OSError, ValueError):
        return None


def account(name: str) -> Account | None:
    """The numbers of a user, None when there is no such user."""
    try:
        found = pwd.getpwnam(name)
    except KeyError:
        return None
    return {"uid": found.pw_uid, "gid": found.pw_gid}


def mounted_by_hand(module: AnsibleModule, mountinfo: str, export: str) -> str | None:
    """Where the file system with I(export) is mounted, when nothing mounts it again after a restart."""
    point, filesystem = mount_point_of(mountinfo, os.path.realpath(export))
    if point == "/" or filesystem == "zfs":  # which mounts its own without systemd
        return None
    _rc, fragment, _err = module.run_command(["systemctl", "show", "--property=FragmentPath", "--value", "--", point])
    return None if fragment.strip() else point


def expiry(shown: str, now: float) -> Expiry | None:
    """Until when a certificate is valid, of what C(openssl x509 -enddate) prints; None when it printed none."""
    match = re.search(r"^notAfter=(.+)$", shown, re.MULTILINE)
    if not match:
        return None
    until = ssl.cert_time_to_seconds(match.group(1))
    return {"until": time.strftime("%Y-%m-%d", time.gmtime(until)), "days": int((until - now) // 86400)}


def certificate(module: AnsibleModule, path: str | None) -> Expiry | None:
    if not path or not os.path.exists(path):
        return None
    _rc, shown, _err = module.run_command(["openssl", "x509", "-noout", "-enddate", "-in", path])
    found = expiry(shown, time.time())
    return None if found is None else {**found, "file": path}


def candidate_version(module: AnsibleModule) -> str | None:
    _rc, out, _err = module.run_command(["apt-cache", "policy", "dovecot-core"])
    match = re.search(r"Candidate: (\S+)", out)
    return upstream_version(match.group(1)) if match else None
