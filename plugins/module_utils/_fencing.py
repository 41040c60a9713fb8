# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a fence device can do its work: its agent is there, knows its options, and gets an answer."""

from __future__ import annotations

import difflib
import os
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping, Sequence
from typing import TypedDict

from ansible_collections.mailcluster.dovecot.plugins.module_utils._types import Run

# Options that Pacemaker itself reads.
OF_PACEMAKER = ("pcmk_", "priority", "provides", "stonith-timeout")
PROGRAMS = "/usr/sbin"
TIMEOUT = 20  # seconds for an answer


class FenceDevice(TypedDict):
    name: str
    agent: str
    options: dict[str, str]
    hosts: list[str]


def parameters(metadata: str) -> dict[str, bool]:
    """Option to whether it is required, of the metadata that an agent prints."""
    root = ET.fromstring(metadata)
    return {entry.get("name") or "": entry.get("required") == "1" for entry in root.iter("parameter")}


def wrong_options(device: FenceDevice, known: Mapping[str, bool]) -> Iterator[str]:
    for option in device["options"]:
        if option not in known and not option.startswith(OF_PACEMAKER):
            like = difflib.get_close_matches(option, known, n=1)
            yield "has no option '%s'%s" % (option, ": did you mean %s?" % like[0] if like else "")


def problem(run: Run, device: FenceDevice, ask: bool) -> str:
    """Why a device cannot do its work, in words; empty if it can. ask: whether it is to be asked for the node's state."""
    variable = "dovecot_active_passive_fencing: %s of %s" % (device["agent"], ", ".join(device["hosts"]))
    program = os.path.join(PROGRAMS, device["agent"])
    if not os.access(program, os.X_OK):
        return "%s is not installed on this node: choose one of fence-agents (ls %s/fence_*)" % (variable, PROGRAMS)
    rc, out, err = run([program, "-o", "metadata"])
    if rc != 0:
        return "%s cannot be run: %s" % (variable, said(err, out, []))
    found = list(wrong_options(device, parameters(out)))
    if found:
        return "%s %s ('%s -o metadata' lists them all)" % (variable, "; ".join(found), device["agent"])
    if not ask:
        return ""
    status, words = answer(run, device, "monitor" if len(device["hosts"]) > 1 else "status")
    # 2: the node is off, as it may be now
    if status not in (0, 2):
        return "%s does not answer (%s): correct the options, or the way there" % (variable, words)
    return ""


def answer(run: Run, device: FenceDevice, action: str) -> tuple[int, str]:
    """Exit status of an action, and what the agent said. The options go through standard input: there may be passwords in
    them."""
    lines = ["%s=%s" % (name, value) for name, value in device["options"].items() if not name.startswith(OF_PACEMAKER)]
    text = "\n".join([*lines, "action=%s" % action, "plug=%s" % device["hosts"][0]]) + "\n"
    rc, out, err = run(["timeout", str(TIMEOUT), os.path.join(PROGRAMS, device["agent"])], data=text)
    if rc == 124:
        return rc, "no answer within %d s" % TIMEOUT
    return rc, said(err, out, list(device["options"].values()))


def said(err: str, out: str, hidden: Sequence[str]) -> str:
    """The last line of what an agent printed, without values of its options."""
    lines = [line.strip() for line in (err or out).splitlines() if line.strip()]
    words = lines[-1][-200:] if lines else "no words"
    for value in hidden:
        if len(value) > 3:
            words = words.replace(value, "***")
    return words
