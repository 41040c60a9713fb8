# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be wrong with a certificate and its key that are given as texts.

Ansible itself needs the library that reads them. Where it is an old one, the check on the nodes has to do.
"""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING

try:
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization

    READS = hasattr(x509, "load_pem_x509_certificates")
except ImportError:
    READS = False

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes


def problem(certificate: str, key: str) -> tuple[str, str] | None:
    """One (variable, words) pair, or None. Either text may be empty."""
    for variable, text in (("dovecot_tls_cert", certificate), ("dovecot_tls_key", key)):
        if text and "\\n" in text:
            return variable, "has '\\n' instead of line breaks: give it as a block (YAML's |), or with the file lookup"
    if not READS:
        return None
    found = None
    if certificate:
        try:
            found = x509.load_pem_x509_certificates(certificate.encode())[0]
        except Exception:  # the library's own errors differ from version to version
            return "dovecot_tls_cert", "cannot be read as a certificate, perhaps because part of it is missing: copy all of it"
        now = datetime.datetime.now(datetime.timezone.utc)
        ends = getattr(found, "not_valid_after_utc", None) or found.not_valid_after.replace(tzinfo=datetime.timezone.utc)
        if ends < now:
            return "dovecot_tls_cert", f"has expired on {ends:%Y-%m-%d}, and clients refuse it: renew it"
    if not key:
        return None
    try:
        private = serialization.load_pem_private_key(key.encode(), password=None)
    except TypeError:
        return "dovecot_tls_key", "is encrypted with a pass phrase, which nobody could enter: give it without, in ansible-vault"
    except Exception:
        return "dovecot_tls_key", "cannot be read as a private key, perhaps because part of it is missing: copy all of it"
    if found is not None and _public(found.public_key()) != _public(private.public_key()):
        return "dovecot_tls_cert", "does not belong to the private key in dovecot_tls_key: correct one of them"
    return None


def _public(key: PublicKeyTypes) -> bytes:
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
