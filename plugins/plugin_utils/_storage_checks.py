# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be wrong with shared storage, as it is declared."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.mailcluster.dovecot.plugins.plugin_utils import _storage
from ansible_collections.mailcluster.dovecot.plugins.plugin_utils._normal import whole
from ansible_collections.mailcluster.dovecot.plugins.plugin_utils._storage import CACHING, FORMATS, TYPES, Storage, mail_format
from ansible_collections.mailcluster.dovecot.plugins.plugin_utils._topology import Given, Groups, Topology

GROUP = "dovecot_shared_storage"
SERVERS = "dovecot_nfs_servers"
LEASE = (10, 3600)
# What makes a node answer with an error, or keeps a lock to itself, when the others have to know of it.
HARMFUL_OPTIONS = {
    "soft": "with it a write fails while the server is away for a moment, and mail is lost: use hard",
    "softerr": "with it a write fails while the server is away for a moment, and mail is lost: use hard",
    "ro": "with it no mail could be stored: leave it out",
    "nolock": "with it the nodes do not see each other's locks, and indexes break: leave it out",
}
# As Dovecot reads what YAML has made of them.
BOOLEANS = {"True": "yes", "1": "yes", "False": "no", "0": "no"}
HARMFUL_VALUES: dict[str, tuple[str, ...]] = {"local_lock": ("all", "flock", "posix")}


def problems(groups: Groups, topology: Topology, given: Mapping[str, Given]) -> Iterator[str]:
    """Sentences about what is wrong. I(given): node name -> its own variables, as C(storage)."""
    nodes = topology["nodes"]
    members = [name for name in groups.get(GROUP, ()) if name in nodes]
    yield from _membership(groups, topology, members)
    yield from _server(topology, given, members)
    for partition, names in topology["partitions"].items():
        shared = [name for name in names if name in members]
        if shared:
            yield from _partition(partition, names, shared, topology, given)
    yield from _folders(topology, given, members)
    yield from _one_sentence_each(members, lambda name: _node(given[name]["storage"], bool(topology["directors"])))
    for name in members:
        yield from _own_settings(name, given[name]["settings"], given[name]["storage"], bool(topology["directors"]))


def _membership(groups: Groups, topology: Topology, members: Sequence[str]) -> Iterator[str]:
    nodes = topology["nodes"]
    for group in (GROUP, SERVERS):
        strays = [name for name in groups.get(group, ()) if name not in nodes]
        if strays:
            yield f"{group}: {', '.join(strays)} not in dovecot_cluster: make {group} one of its children"
    for name in members:
        if "backend" not in nodes[name]["roles"]:
            yield f"{GROUP}: {name} is no backend: put it into dovecot_backends too"
        if "replication" in nodes[name]["roles"]:
            yield (
                f"{GROUP}: {name} is in dovecot_replicated too, but storage that is shared must not be replicated with "
                f"itself, all mail would be there twice: take it out of one of the two groups"
            )


def _server(topology: Topology, given: Mapping[str, Given], members: Sequence[str]) -> Iterator[str]:
    servers = topology["nfs_servers"]
    if len(servers) > 1:
        yield (
            f"{SERVERS}: holds {', '.join(servers)}, but one server has the mail: leave one, or use a file server that is "
            f"itself a cluster"
        )
    for name in servers:
        others = [role for role in topology["nodes"][name]["roles"] if role not in ("node", "nfs_server")]
        if others:
            yield (
                f"{SERVERS}: {name} is {' and '.join(others)} too: a node that mounts from itself hangs when it is short of "
                f"memory; put it into this group only"
            )
        export, lease = given[name]["export"], given[name]["lease_time"]
        seconds = whole(lease)
        if not str(export).startswith("/") or str(export) == "/" or any(sign in str(export) for sign in " \t\"'\\"):
            yield (
                f"dovecot_nfs_server_export: '{export}' of {name} is no path of a folder without spaces and quotes: write "
                f"it as /srv/mail"
            )
        if seconds is None or not LEASE[0] <= seconds <= LEASE[1]:
            yield (
                f"dovecot_nfs_server_lease_time: '{lease}' of {name} is no number of seconds from {LEASE[0]} to {LEASE[1]}: "
                f"that is how long the locks of a dead node last"
            )
    if servers and not members:
        yield f"{SERVERS}: {', '.join(servers)} would export to nobody: put backends into {GROUP}, or leave the group empty"


def _partition(
    partition: str, names: Iterable[str], shared: Sequence[str], topology: Topology, given: Mapping[str, Given]
) -> Iterator[str]:
    missing = sorted(set(names) - set(shared))
    if missing:
        yield (
            f"{GROUP}: of partition '{partition}' it holds {', '.join(shared)}, but not {', '.join(missing)}, whose mail "
            f"would be elsewhere: add all nodes of the partition"
        )
    for key in ("type", "source"):
        variable = f"dovecot_shared_storage_{key}"
        values = {name: str(given[name]["storage"][key]) for name in shared}
        if len(set(values.values())) > 1:
            words = ", ".join(f"'{value}' on {name}" for name, value in values.items())
            yield f"{variable}: differs within partition '{partition}' ({words}): set it once, for the partition's group"


def _folders(topology: Topology, given: Mapping[str, Given], members: Iterable[str]) -> Iterator[str]:
    """Each partition has a place of its own."""
    seen: dict[str, str | None] = {}
    for name in members:
        source, partition = given[name]["storage"]["source"], topology["nodes"][name]["partition"]
        other = seen.setdefault(source, partition)
        if source and other != partition:
            yield (
                f"dovecot_shared_storage_source: '{source}' would have the mail of partition '{other}' and of '{partition}': "
                f"set another for one of them"
            )
            return


def _one_sentence_each(members: Iterable[str], judge: Callable[[str], Iterable[str]]) -> Iterator[str]:
    """What holds for many nodes is said once."""
    told: dict[str, list[str]] = {}
    for name in members:
        for sentence in judge(name):
            told.setdefault(sentence, []).append(name)
    for sentence, names in told.items():
        yield sentence.replace("{nodes}", ", ".join(names))


def _node(storage: Storage, has_directors: bool) -> Iterator[str]:
    kind = storage["type"]
    if kind not in TYPES:
        state = f"'{kind}' of {{nodes}} is unknown" if kind else "missing for {nodes}"
        yield f"dovecot_shared_storage_type: {state}: set it to one of {', '.join(TYPES)}"
        return
    if kind == "glusterfs" and not has_directors:
        yield (
            "dovecot_shared_storage_type: 'glusterfs' of {nodes} without directors: two nodes that write to one mailbox leave "
            "its index broken there: put directors before the backends, or use another storage"
        )
    if not storage["source"]:
        yield (
            f"dovecot_shared_storage_source: missing for {{nodes}}: set it to what is mounted, as "
            f"{'nfs.example.org:/srv/mail' if kind in CACHING else 'the device or the servers'}"
        )
    elif kind == "nfs" and not re.match(r"[^/\s]+:/\S*\Z", str(storage["source"])):
        yield (
            f"dovecot_shared_storage_source: '{storage['source']}' of {{nodes}} is no export: write it as "
            f"nfs.example.org:/srv/mail"
        )
    options = storage["mount_options"]
    if isinstance(options, str) or not all(isinstance(option, str) for option in options):
        yield f"dovecot_shared_storage_mount_options: '{options}' of {{nodes}} is no list: write one option an item"
        return
    for option in options:
        name, _equals, value = option.partition("=")
        if kind == "nfs" and (name in HARMFUL_OPTIONS or value in HARMFUL_VALUES.get(name, ())):
            reason = HARMFUL_OPTIONS.get(name, HARMFUL_OPTIONS["nolock"])
            yield f"dovecot_shared_storage_mount_options: '{option}' of {{nodes}}: {reason}"
    yield from _mailboxes(storage, has_directors)


def _mailboxes(storage: Storage, has_directors: bool) -> Iterator[str]:
    location, form = storage["mail_location"], mail_format(storage["mail_location"])
    if form not in FORMATS:
        yield (
            f"dovecot_backend_mail_location: '{location}' of {{nodes}} on shared storage: the messages of an mdbox share "
            f"files and one map, which a backend that dies leaves broken; use sdbox:~/sdbox or maildir:~/Maildir"
        )
    elif form == "maildir" and storage["type"] in CACHING and not has_directors:
        yield (
            f"dovecot_backend_mail_location: '{location}' of {{nodes}} without directors: two nodes that write to one Maildir "
            f"leave its dovecot-uidlist broken: use sdbox:~/sdbox, or put directors before the backends"
        )
    elif form == "sdbox" and storage["index_dir"]:
        yield (
            f"dovecot_shared_storage_index_dir: '{storage['index_dir']}' of {{nodes}} with {location}: the flags of a dbox "
            f"are in its indexes alone, and would be lost with the node: use maildir:~/Maildir, or leave the indexes on the "
            f"storage"
        )
    for variable in ("index_dir", "volatile_dir"):
        place = storage[variable]
        if place and not str(place).startswith("/"):
            yield (
                f"dovecot_shared_storage_{variable}: '{place}' of {{nodes}} is no absolute path: write it as "
                f"/var/lib/dovecot-{variable}"
            )
        elif place and (f"{str(place).rstrip('/')}/").startswith(f"{str(storage['path']).rstrip('/')}/"):
            yield (
                f"dovecot_shared_storage_{variable}: '{place}' of {{nodes}} is on the storage, below dovecot_mail_home: "
                f"use a folder on the node's own disk"
            )
        elif place and not has_directors:
            yield (
                f"dovecot_shared_storage_{variable}: '{place}' of {{nodes}} without directors: the other node would not see "
                f"the locks and changes in it: leave it out, or put directors before the backends"
            )
    if storage["lock_method"] not in ("", "fcntl", "flock"):
        yield f"dovecot_shared_storage_lock_method: '{storage['lock_method']}' of {{nodes}} is unknown: set it to fcntl or flock"


def _own_settings(name: str, settings: Any, storage: Storage, has_directors: bool) -> Iterator[str]:
    """Dovecot takes them, and breaks its indexes."""
    if not hasattr(settings, "get") or storage["type"] not in TYPES:
        return
    for setting, needed in _storage.settings(storage["type"], has_directors, storage["lock_method"]).items():
        value = settings.get(setting)
        words = BOOLEANS.get(str(value), str(value))
        if value is not None and words != needed:
            yield (
                f"dovecot_settings: {setting} ({words}) of {name} breaks indexes on {storage['type']} "
                f"{'behind' if has_directors else 'without'} directors: remove it, the role sets {needed}"
            )
