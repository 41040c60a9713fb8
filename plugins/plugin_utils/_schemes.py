# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What hashes of passwords look like, by the scheme's name of Dovecot's.

A plain text behind a scheme is a password that nobody can log in with, and that everybody can read.
"""

from __future__ import annotations

import re

_B64 = r"[A-Za-z0-9+/]"
_CRYPT = r"[./A-Za-z0-9]"
_SHA512 = rf"\$6\$(rounds=\d+\$)?[^$:\s]{{0,16}}\${_CRYPT}{{86}}"
_SHA256 = rf"\$5\$(rounds=\d+\$)?[^$:\s]{{0,16}}\${_CRYPT}{{43}}"
_MD5 = rf"\$1\$[^$:\s]{{1,8}}\${_CRYPT}{{22}}"
_BLF = rf"\$2[abxy]?\$\d\d\${_CRYPT}{{53}}"
_ARGON2 = r"\$argon2{}\$v=\d+\$m=\d+,t=\d+,p=\d+\$[A-Za-z0-9+/]+\$[A-Za-z0-9+/]{{16,}}"
_OTHER_CRYPT = rf"\$(y|gy|7)\$[./A-Za-z0-9]+\$[./A-Za-z0-9$]{{20,}}|{_CRYPT}{{13}}"

SCHEMES = {
    name: re.compile(rf"({pattern})\Z")
    for name, pattern in {
        "SHA512-CRYPT": _SHA512,
        "SHA256-CRYPT": _SHA256,
        "MD5-CRYPT": _MD5,
        "BLF-CRYPT": _BLF,
        "DES-CRYPT": rf"{_CRYPT}{{13}}",
        "CRYPT": f"{_SHA512}|{_SHA256}|{_MD5}|{_BLF}|{_OTHER_CRYPT}",
        "ARGON2I": _ARGON2.format("i"),
        "ARGON2ID": _ARGON2.format("id"),
        "PBKDF2": r"\$1\$[^$:\s]+\$\d+\$[0-9a-fA-F]{8,}",
        "SHA": rf"{_B64}{{27}}=",
        "SHA1": rf"{_B64}{{27}}=",
        "SSHA": rf"{_B64}{{28,}}={{0,2}}",
        "SHA256": rf"{_B64}{{43}}=",
        "SSHA256": rf"{_B64}{{46,}}={{0,2}}",
        "SHA512": rf"{_B64}{{86}}==",
        "SSHA512": rf"{_B64}{{88,}}={{0,2}}",
        "MD5": _MD5,
        "PLAIN-MD5": r"[0-9a-fA-F]{32}",
        "LDAP-MD5": rf"{_B64}{{22}}==",
        "SMD5": rf"{_B64}{{23,}}={{0,2}}",
        "DIGEST-MD5": r"[0-9a-fA-F]{32}",
        "CRAM-MD5": r"[0-9a-fA-F]{64}",
        "HMAC-MD5": r"[0-9a-fA-F]{64}",
        "LANMAN": r"[0-9a-fA-F]{32}",
        "LM": r"[0-9a-fA-F]{32}",
        "NTLM": r"[0-9a-fA-F]{32}",
        "RPA": r"[0-9a-fA-F]{32}",
        "SCRAM-SHA-1": rf"\d+,{_B64}+=*,{_B64}{{27}}=,{_B64}{{27}}=",
        "SCRAM-SHA-256": rf"\d+,{_B64}+=*,{_B64}{{43}}=,{_B64}{{43}}=",
    }.items()
}
NOT_HASHED = ("PLAIN", "CLEAR", "CLEARTEXT", "PLAIN-TRUNC")
GIVEN = re.compile(r"\{([A-Za-z0-9-]+)(\.([A-Za-z0-9]+))?\}(\S+)\Z")


def problem(password: str) -> str:
    """What is wrong with a password of an inventory, or nothing."""
    found = GIVEN.match(password)
    if not found or found.group(1).upper() in NOT_HASHED:
        return "is not a hash: make one with `doveadm pw -s SHA512-CRYPT` and give it with its {SCHEME}"
    scheme, encoding, text = found.group(1).upper(), found.group(3), found.group(4)
    if scheme not in SCHEMES:
        return f"has the scheme {found.group(1)}, which Dovecot does not know: make one with `doveadm pw -s SHA512-CRYPT`"
    if encoding:
        pattern = re.compile(r"([0-9a-fA-F]{2}){10,}\Z" if encoding.upper() == "HEX" else r"[A-Za-z0-9+/]{12,}={0,2}\Z")
    else:
        pattern = SCHEMES[scheme]
    if not pattern.match(text):
        return f"is an incomplete hash of {scheme}: copy all of what `doveadm pw -s {scheme}` prints"
    return ""
