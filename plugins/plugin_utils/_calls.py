# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A run that would do nothing, by the way in which it was called."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ansible_collections.mailcluster.dovecot.plugins.plugin_utils._topology import CLUSTER_GROUP, Groups

# Of Ansible itself, and those of playbooks/site.yml.
TAGS = ("all", "tagged", "untagged", "always", "packages", "config", "users", "verify")


def problems(groups: Groups, task_vars: Mapping[str, Any], own_tags: Iterable[str]) -> Iterator[str]:
    members = set(groups.get(CLUSTER_GROUP, ()))
    hosts = task_vars.get("ansible_play_hosts_all") or []
    if members and hosts and not members & set(hosts):
        yield (
            f"--limit: {', '.join(hosts[:3])} not in {CLUSTER_GROUP}, so that nothing would be done: name nodes of the "
            f"cluster, or its groups"
        )
    tags = list(task_vars.get("ansible_run_tags") or ("all",))
    # in a playbook of somebody's own, tasks have tags of their own
    if not {*TAGS, *own_tags} & set(tags):
        yield f"--tags: no task has {', '.join(tags)}, so that nothing would be done: use packages, config, users or verify"
