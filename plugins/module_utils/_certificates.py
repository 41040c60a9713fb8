# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates and keys, as openssl tells of them."""

from __future__ import annotations

import re

from ansible_collections.mailcluster.dovecot.plugins.module_utils._types import Run

KEY_PASSWORD = "MAILCLUSTER_KEY_PASSWORD"


class Certificates:
    """Asks openssl, once for each file."""

    def __init__(self, run: Run) -> None:
        self.run = run
        # By path, keys by password too. One file may hold both.
        self.certificates: dict[str, tuple[str | None, bool]] = {}
        self.keys: dict[tuple[str, str], str | None] = {}

    def certificate(self, path: str) -> tuple[str | None, bool]:
        """(public key or None, expired)"""
        if path not in self.certificates:
            dummy, out, dummy2 = self.run(["openssl", "x509", "-in", path, "-noout", "-pubkey", "-checkend", "0"])
            self.certificates[path] = (public_key(out), "will expire" in out)
        return self.certificates[path]

    def key(self, path: str, password: str) -> str | None:
        if (path, password) not in self.keys:
            # Always with a password, so that an encrypted key is an error and not a question.
            dummy, out, dummy2 = self.run(
                ["openssl", "pkey", "-in", path, "-pubout", "-passin", "env:" + KEY_PASSWORD],
                environ_update={KEY_PASSWORD: password},
            )
            self.keys[path, password] = public_key(out)
        return self.keys[path, password]


def public_key(text: str) -> str | None:
    found = re.search(r"-----BEGIN PUBLIC KEY-----(.*?)-----END PUBLIC KEY-----", text, re.DOTALL)
    return "".join(found.group(1).split()) if found else None
