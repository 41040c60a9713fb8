# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pacemaker's configuration, merged from what is wanted and what is there: XML in, XML out, no I/O.

What others put beside ours stays: properties of the cluster's own, nodes that are on standby, what an operator said of a resource
(target-role, is-managed), constraints of a move by hand, and those by which DRBD keeps outdated data from being promoted.
"""

from __future__ import annotations

import copy
import xml.etree.ElementTree as ET
from collections.abc import Iterator

# Sections of the configuration that are ours.
SECTIONS = ("crm_config", "rsc_defaults", "resources", "constraints")
FOREIGN_CONSTRAINTS = ("cli-", "drbd-fence-by-handler-")
OF_OPERATORS = ("target-role", "is-managed", "maintenance")
# What is not shown of a fence device.
SECRETS = ("password", "passwd", "passphrase", "secret", "token")


def canonical(element: ET.Element) -> str:
    return ET.canonicalize(ET.tostring(element, encoding="unicode"), strip_text=True)


def merged(live: ET.Element, wanted: ET.Element) -> ET.Element:
    """The configuration to have: I(live) and I(wanted) are C(configuration) elements, and stay as they are."""
    result = copy.deepcopy(live)
    for name in SECTIONS:
        old, new = result.find(name), wanted.find(name)
        made = copy.deepcopy(new) if new is not None else ET.Element(name)
        if old is None:
            result.append(made)
            continue
        made[:0] = [copy.deepcopy(child) for child in _kept(name, old, made)]
        if name == "resources":
            _keep_decisions(old, made)
        place = list(result).index(old)
        result.remove(old)
        result.insert(place, made)
    return result


def _kept(section: str, old: ET.Element, made: ET.Element) -> Iterator[ET.Element]:
    """Children that are not ours."""
    ours = {child.get("id") for child in made}
    for child in old:
        name = child.get("id") or ""
        if section == "crm_config" and name not in ours:
            yield child
        if section == "constraints" and name.startswith(FOREIGN_CONSTRAINTS):
            yield child


def _keep_decisions(old: ET.Element, made: ET.Element) -> None:
    owners = {element.get("id"): element for element in made.iter() if element.tag in ("primitive", "group", "clone")}
    for owner in old.iter():
        if owner.tag not in ("primitive", "group", "clone") or owner.get("id") not in owners:
            continue
        for meta in owner.findall("meta_attributes"):
            decisions = [pair for pair in meta.findall("nvpair") if pair.get("name") in OF_OPERATORS]
            if decisions:
                _meta_of(owners[owner.get("id")], meta.get("id") or "").extend(copy.deepcopy(decisions))


def _meta_of(owner: ET.Element, name: str) -> ET.Element:
    found = owner.find("meta_attributes")
    if found is None:
        found = ET.Element("meta_attributes", {"id": name})
        # of a primitive it comes behind its operations and attributes, of others before the children
        owner.insert(len(owner) if owner.tag == "primitive" else 0, found)
    return found


def shown(configuration: ET.Element) -> str:
    """For a diff, a line an element, without secrets."""
    copied = copy.deepcopy(configuration)
    for pair in copied.iter("nvpair"):
        if any(word in (pair.get("name") or "") for word in SECRETS):
            pair.set("value", "(not shown)")
    sections = [section for section in copied if section.tag in SECTIONS]
    for section in sections:
        for element in section.iter():
            element.text = element.tail = None
        ET.indent(section)
    return "\n".join(ET.tostring(section, encoding="unicode") for section in sections) + "\n"
