# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Has Dovecot take a renewed certificate up, which it reads only when it starts or reloads.

Whether there is one is seen by asking Dovecot itself: it serves another certificate than the file has. So it does not
matter how the file is replaced (certbot moves a symbolic link), nor who has reloaded Dovecot meanwhile.

A file that is half written, or does not go with its key, is left for the next time. A director reloads while the ring is in
sync only, and the timer has its turn at another time on each director: all at once would forget what operators told the ring.

Exit status: 0 the file's certificate is in force, or Dovecot does not run, or a deployment is at work; 1 it is not in force.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from node_program import doveadm, settings_of

DEPLOYMENTS = Path("/var/lib/mailcluster-dovecot")
TIMEOUT = 10  # seconds, for Dovecot to greet
OWN_TIMEOUT = 30  # seconds, for doveadm
SETTLE = 2  # seconds in which a file that is complete does not change
PATIENCE = 60  # seconds, for the ring, and for the new certificate
BEGIN, END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"


class NotYet(Exception):
    """The file's certificate cannot be taken up now."""


@dataclass(frozen=True)
class Settings:
    certificate: str  # files
    key: str
    port: int  # where Dovecot shows it
    ring: bool  # whether this is a director


class Dovecot:
    """The one of this node."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def served(self) -> bytes | None:
        """The certificate that it shows; nothing when it has none that it can use, None when it does not run or hangs."""
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        try:
            with socket.create_connection(("127.0.0.1", self.settings.port), TIMEOUT) as connection:
                with context.wrap_socket(connection) as secured:
                    return secured.getpeercert(binary_form=True)
        except (ConnectionRefusedError, TimeoutError):
            return None
        except OSError:
            return b""

    def ring_is_synced(self) -> bool:
        asked = doveadm("-f", "json", "director", "ring", "status", timeout=OWN_TIMEOUT)
        rows = json.loads(asked.stdout or "[]") if asked.returncode == 0 else []
        return any(row.get("type") == "self" and row.get("status") == "ring synced" for row in rows)

    def reload(self) -> None:
        subprocess.run(["systemctl", "reload", "dovecot.service"], check=True, timeout=PATIENCE)


def text_of(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise NotYet(f"{path} cannot be read ({error})") from error


def first_in(path: str) -> bytes:
    """The first certificate of a file, as Dovecot would show it."""
    _before, _begin, rest = text_of(path).partition(BEGIN)
    body, complete, _chain = rest.partition(END)
    try:
        if not complete:
            raise ValueError("no certificate in it, or half of one")
        return ssl.PEM_cert_to_DER_cert(BEGIN + body + END)
    except ValueError as error:
        raise NotYet(f"{path} is not complete: {error}") from error


def refuse_unfit(certificate: str, key: str) -> None:
    """Dovecot would serve nobody with a file that is half written, or with the key of another certificate."""
    before = text_of(certificate), text_of(key)
    time.sleep(SETTLE)
    if (text_of(certificate), text_of(key)) != before:
        raise NotYet(f"{certificate} is being written")
    try:
        # a key with a passphrase does not load: nobody is there to be asked
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password=lambda: "")
    except (OSError, ValueError) as error:
        raise NotYet(f"{certificate} and {key} do not go together ({error})") from error


def is_being_deployed() -> bool:
    """A reload would bring into force what is installed in part."""
    try:
        folder = os.open(DEPLOYMENTS, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(folder)
    return (DEPLOYMENTS / "pending.json").exists()


def wait_for(condition: Callable[[], bool], complaint: str) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() >= end:
            raise NotYet(complaint)
        time.sleep(1)


def take_up(dovecot: Dovecot, shown: bytes) -> bool:
    """Whether there was a certificate to take up."""
    settings = dovecot.settings
    if first_in(settings.certificate) == shown:
        return False
    refuse_unfit(settings.certificate, settings.key)
    if is_being_deployed():
        print("a deployment is at work, or was interrupted: later", flush=True)
        return False
    if settings.ring:
        wait_for(dovecot.ring_is_synced, "the ring is not in sync")
    dovecot.reload()
    wait_for(
        lambda: dovecot.served() == first_in(settings.certificate), "Dovecot was reloaded and still shows another certificate"
    )
    if settings.ring:
        wait_for(dovecot.ring_is_synced, "Dovecot was reloaded and the ring is not in sync")
    return True


def run(dovecot: Dovecot) -> int:
    shown = dovecot.served()
    if shown is None:
        return 0
    try:
        if take_up(dovecot, shown):
            print(f"reloaded: the certificate in {dovecot.settings.certificate} is in force", flush=True)
    except (NotYet, ValueError, subprocess.SubprocessError) as error:
        print(f"the certificate is not in force, tried again later: {error}", flush=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(run(Dovecot(Settings(**settings_of("certificate")))))
