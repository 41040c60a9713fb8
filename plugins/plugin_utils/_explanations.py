# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Why a variable cannot be read, in words for whoever wrote the inventory."""

from __future__ import annotations

import re

LENGTH = 300
UNDEFINED = re.compile(r"'([^']+)' is undefined")
NO_ENTRY = re.compile(r"object of type '\w+' has no attribute '?([^'\s]+)'?")
ATTRIBUTE = re.compile(r"has no attribute", re.IGNORECASE)
# of Python's, which say nothing to the reader
INTERNAL = re.compile(r"\b\w*(Error|Exception)\b:?|<class '[^']*'>|_AnsibleTagged\w*")
# It says nothing of the inventory.
ADVICE = re.compile(r" *Use -v+ to see paths searched\.?")
LEADING = re.compile(r"(Error rendering template|Error while resolving [^:]*|Finalization of [^:]*)[:.] *")


def explained(error: object) -> str:
    text = re.sub(r"\s+", " ", str(error)).strip()
    found = UNDEFINED.search(text)
    if found:
        return f"it needs '{found.group(1)}', which is not defined: define it, or correct the name"
    found = NO_ENTRY.search(text)
    if found:
        return f"it needs an entry '{found.group(1)}' that is not there: add it, or correct the name"
    if "integer string conversion" in text:
        return "it gives a number of thousands of digits: correct the template"
    if "vault" in text.lower() or "decrypt" in text.lower():
        return "it is encrypted with ansible-vault, and cannot be decrypted: give the vault's password, as with --ask-vault-pass"
    text = ATTRIBUTE.sub("lacks", LEADING.sub("", INTERNAL.sub("", ADVICE.sub("", text)))).strip(" .")
    return (text if len(text) <= LENGTH else text[:LENGTH] + "...") + ": correct the template, or what it reads"
