# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands in the way of filling a node with the mail of its partner: plain data in, sentences out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ansible_collections.mailcluster.dovecot.plugins.plugin_utils._facts import Facts
from ansible_collections.mailcluster.dovecot.plugins.plugin_utils._topology import Topology


def fill_obstacles(
    topology: Topology, new: str, facts: Mapping[str, Facts], anyway: str = "", mail_home: str = "/var/vmail"
) -> list[str]:
    """Sentences, each with its remedy; none when the node may be filled.

    I(facts) has what C(node_info) told, by the names of the nodes that were reached.  I(anyway) is the node that the
    operator wants to be filled though it is alive or has mail.
    """
    node = topology["nodes"].get(new)
    partner = node.get("partner") if node else None
    if not partner:
        names = sorted(node["name"] for node in topology["nodes"].values() if node.get("partner"))
        return [
            "dovecot_new_node: %s is no node of a replicated pair, nothing was changed: give -e dovecot_new_node=NAME with "
            "one of %s" % (new or "(not set)", ", ".join(names) or "(there is none)")
        ]
    silent = []
    if new not in facts:
        silent.append(
            "dovecot_new_node: %s was not reached, nothing was changed: start it, with ssh and Python, and run again" % new
        )
    if partner not in facts:
        silent.append(
            "%s, which has the mail for %s, was not reached, nothing was changed: start it and run again" % (partner, new)
        )
    if silent:
        return silent
    strange = not facts[new]["filling"] and anyway != new
    return list(_of_the_partner(partner, new, facts[partner])) + list(_of_the_new(new, facts[new], mail_home) if strange else ())


def _runs_dovecot(node: Facts) -> bool:
    return "dovecot.service" not in node["inactive_units"]


def _of_the_partner(name: str, new: str, node: Facts) -> Iterator[str]:
    if not _runs_dovecot(node):
        yield (
            "%s, which should have the mail for %s, does not run Dovecot, nothing was changed: start it there (systemctl "
            "start dovecot); or is %s the empty one?" % (name, new, name)
        )
    if not node["has_mail"]:
        yield "%s has no mail that %s could be filled with, nothing was changed: is %s the empty one?" % (name, new, name)
    if node["filling"] == "filling":
        yield "%s is being filled itself, nothing was changed: go on with -e dovecot_new_node=%s" % (name, name)


def _of_the_new(name: str, node: Facts, mail_home: str) -> Iterator[str]:
    if _runs_dovecot(node):
        yield (
            "%s is not dead: it runs Dovecot, nothing was changed. Stop it there (systemctl stop dovecot); or, to have it "
            "taken out of service until all mail is there, give -e dovecot_fill_anyway=%s" % (name, name)
        )
    if node["has_mail"]:
        yield (
            "%s is not empty: there are files in %s, nothing was changed. Move them away; or, to have the mail of both nodes "
            "merged, give -e dovecot_fill_anyway=%s" % (name, mail_home, name)
        )
