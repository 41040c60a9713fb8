# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names that begin with C(dovecot_) and that nobody reads: most are misspelt, and what they were to say is not done."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from typing import Any

from ansible_collections.mailcluster.dovecot.plugins.plugin_utils._judgement import sentence
from ansible_collections.mailcluster.dovecot.plugins.plugin_utils._reading import Reader
from ansible_collections.mailcluster.dovecot.plugins.plugin_utils._specification import PLAYBOOKS, Specifications, did_you_mean
from ansible_collections.mailcluster.dovecot.plugins.plugin_utils._topology import CLUSTER_GROUP, ROLE_OF_GROUP, Groups

GROUPS = (CLUSTER_GROUP, *ROLE_OF_GROUP, "dovecot_active_passive")


def groups(declared: Groups, common: Mapping[str, Any]) -> Iterator[str]:
    own = common.get("dovecot_own_variables") or ()
    for group in sorted(declared):
        if group.startswith("dovecot_") and group not in GROUPS and group not in own:
            like = did_you_mean(group, GROUPS)
            members = ", ".join(declared[group][:3]) or "nobody"
            yield (
                f"{group}: is a group (of {members}) that nothing reads: {like or 'rename it'}"
                f"{'' if like else ', or add it to dovecot_own_variables'}"
            )


class Names:
    """Collects them host by host. What a template of the inventory names is read."""

    def __init__(self, reader: Reader, specs: Specifications) -> None:
        self._reader = reader
        self._known = PLAYBOOKS.union(*specs.values())
        self._found: dict[str, list[str]] = {}

    def host(self, name: str, written: Set[str], variables: Mapping[str, Any], values: Mapping[str, Any]) -> None:
        unknown = written - self._known - set(values.get("dovecot_own_variables") or ())
        if unknown:
            unknown -= frozenset().union(*(self._reader.words(value) for value in variables.values()))
        for variable in unknown:
            self._found.setdefault(variable, []).append(name)

    def problems(self, total: int) -> Iterator[str]:
        for variable, names in sorted(self._found.items()):
            like = did_you_mean(variable, self._known)
            yield sentence(
                variable,
                "",
                f"is a name that nothing reads: {like or 'remove it'}{'' if like else ', or add it to dovecot_own_variables'}",
                names,
                total,
            )
