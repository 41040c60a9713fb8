"""A small certificate authority for the lab, and the certificate that clients of the cluster see."""

from __future__ import annotations

import tempfile
from pathlib import Path

from labtool.inventory import Cluster
from labtool.system import LabError, run, say

SERVER_NAME = "mail.example.org"
DAYS = 365
RENEW_BEFORE_SECONDS = 30 * 86400


def folder(cluster: Cluster) -> Path:
    return cluster.inventory.parent / ".secrets"


def ca_file(cluster: Cluster) -> Path:
    return folder(cluster) / "ca.pem"


def ensure(cluster: Cluster) -> None:
    """Create tls.pem and tls.key, unless there are good ones."""
    place = folder(cluster)
    place.mkdir(mode=0o700, exist_ok=True)
    addresses = [*([cluster.vip] if cluster.vip else []), *(node.address for node in cluster.nodes)]
    flaw = _flaw(place, addresses)
    if flaw is None:
        say(f"The certificate {place / 'tls.pem'} is valid")
        return
    if (place / "tls.pem").exists() and not (place / "ca.key").exists():
        raise LabError(
            f"The certificate {place / 'tls.pem'} {flaw}. The lab did not create it: there is no ca.key beside it.\n"
            "Put a valid one there. Or remove tls.pem, tls.key and ca.pem, and the lab creates its own."
        )
    say(f"Creating a certificate for {SERVER_NAME} and {len(addresses)} addresses: {place / 'tls.pem'}")
    _make(place, addresses)


def _flaw(place: Path, addresses: list[str]) -> str | None:
    """What is wrong with the existing certificate."""
    certificate, key, authority = place / "tls.pem", place / "tls.key", place / "ca.pem"
    for file in (certificate, key, authority):
        if not file.exists():
            return f"is incomplete: {file.name} is missing"
    shown = ["openssl", "x509", "-noout", "-in", str(certificate)]
    if run([*shown, "-checkend", str(RENEW_BEFORE_SECONDS)], check=False).returncode != 0:
        return "expires within 30 days"
    if run(["openssl", "verify", "-CAfile", authority, certificate], check=False).returncode != 0:
        return "is not signed by ca.pem beside it"
    public = run([*shown, "-pubkey"], check=False).stdout
    if public != run(["openssl", "pkey", "-in", key, "-pubout"], check=False).stdout:
        return "does not belong to tls.key"
    for address in addresses:
        # openssl gives the answer only in words.
        if "does match" not in run([*shown, "-checkip", address], check=False).stdout:
            return f"does not cover the address {address}"
    return None


def _make(place: Path, addresses: list[str]) -> None:
    """Write all files to a folder beside, then move them, so that an interrupted run leaves no incomplete set."""
    with tempfile.TemporaryDirectory(dir=place) as name:
        work = Path(name)
        names = ",".join([f"DNS:{SERVER_NAME}", *(f"IP:{address}" for address in addresses)])
        (work / "openssl.cnf").write_text(
            "[req]\ndistinguished_name = dn\nprompt = no\n[dn]\nCN = mailcluster lab\n"
            "[ca]\nbasicConstraints = critical, CA:TRUE\nkeyUsage = critical, keyCertSign, cRLSign\n"
            "subjectKeyIdentifier = hash\n"
            "[server]\nbasicConstraints = critical, CA:FALSE\nkeyUsage = critical, digitalSignature, keyEncipherment\n"
            "extendedKeyUsage = serverAuth\nsubjectKeyIdentifier = hash\nauthorityKeyIdentifier = keyid\n"
            f"subjectAltName = {names}\n"
        )
        new = ["openssl", "req", "-x509", "-new", "-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
        new += ["-config", str(work / "openssl.cnf"), "-days", str(DAYS)]
        run([*new, "-extensions", "ca", "-keyout", str(work / "ca.key"), "-out", str(work / "ca.pem")])
        run(
            [
                *new,
                "-extensions",
                "server",
                "-subj",
                f"/CN={SERVER_NAME}",
                "-CA",
                str(work / "ca.pem"),
                "-CAkey",
                str(work / "ca.key"),
            ]
            + ["-keyout", str(work / "tls.key"), "-out", str(work / "tls.pem")]
        )
        for file in ("ca.key", "ca.pem", "tls.key", "tls.pem"):
            (work / file).chmod(0o600 if file.endswith("key") else 0o644)
            (work / file).rename(place / file)
