# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The managed files of a node as `node_info` tells them, so that `config` knows on the controller that nothing has to be done.

Contents are told as digests with the key of this run, since there are secrets among them.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from typing import Any, Optional, TypedDict

from ansible_collections.mailcluster.dovecot.plugins.module_utils._config_call import Accounts
from ansible_collections.mailcluster.dovecot.plugins.module_utils._config_plan import obsolete
from ansible_collections.mailcluster.dovecot.plugins.module_utils._config_state import ConfigError, Entry, Manifest, OnDisk, Store

STATE_DIR = "/var/lib/mailcluster-dovecot"


class Recorded(TypedDict):
    """A managed file: what the manifest has, and what is on disk. digest: empty if there is no such file."""

    role: str
    unit: str
    secret: bool
    digest: str
    mode: int
    owner: str
    group: str


class Record(TypedDict):
    files: dict[str, Recorded]
    pending: bool


def digest(nonce: str, content: bytes) -> str:
    return hmac.new(nonce.encode(), content, hashlib.sha256).hexdigest()


def record(nonce: str, store: Optional[Store] = None) -> Optional[Record]:
    """None if it cannot be read: `config` itself says what is wrong then."""
    store = store or Store(STATE_DIR)
    try:
        return {
            "files": {path: _recorded(entry, store.read(path), nonce) for path, entry in store.manifest().items()},
            "pending": store.pending() is not None,
        }
    except (ConfigError, OSError):
        return None


def _recorded(entry: Entry, there: Optional[OnDisk], nonce: str) -> Recorded:
    is_file = there is not None and there.target is None
    there = there if there is not None and is_file else OnDisk()
    owner, group = Accounts.names(there.uid, there.gid)
    return {
        "role": entry["role"],
        "unit": entry["unit"],
        "secret": entry["secret"],
        "digest": digest(nonce, there.content) if is_file else "",
        "mode": there.mode,
        "owner": owner,
        "group": group,
    }


def is_as_wanted(
    known: Record, role: str, roles: Optional[Iterable[str]], files: Mapping[str, Recorded], partial: bool = False
) -> bool:
    """Whether a call of `config` would find nothing to do. I(files): path to the file as the role wants it."""
    manifest: Manifest = {
        path: {"role": file["role"], "unit": file["unit"], "secret": file["secret"]} for path, file in known["files"].items()
    }
    gone = [] if partial else obsolete(manifest, files, role, None if roles is None else {*roles, role})
    return not gone and all(known["files"].get(path) == file for path, file in files.items())


def wanted(file: Mapping[str, Any], content: str, role: str, unit: str, nonce: str) -> Recorded:
    """A file of a role, of the arguments of `config`."""
    return {
        "role": role,
        "unit": unit if file["unit"] is None else file["unit"],
        "secret": file["secret"],
        "digest": digest(nonce, content.encode("utf-8", "surrogateescape")),
        "mode": int(file["mode"] or ("0600" if file["secret"] else "0644"), 8),
        "owner": file["owner"],
        "group": file["group"],
    }
