# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Has this backend stop taking mail before its disk is full: a mailbox that meets a full disk is damaged, and its partner's too.

While less than the reserve is free, the gate says to Dovecot's auth process, which reads it for every user (12-users.conf), that
a delivery fails for now, and that a mailbox is full for IMAP: no APPEND, no COPY, while reading, flags, MOVE and EXPUNGE go on.
What dsync would bring from the partner is cut off by the kernel's packet filter. Sessions that were open get to know it by being
ended. With some more than the reserve free it takes mail again, and the partner synchronises all users.

Whoever asks at the port is told "drain" meanwhile, else "up ready", as haproxy's agent check has it: monitors and load balancers
then send people to the partner.
"""

from __future__ import annotations

import json
import os
import socketserver
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import node_program

TABLE = "mailcluster_dovecot_space"
STATE = Path("/run/mailcluster-dovecot/space.json")
HISTORY = Path("/var/lib/mailcluster-dovecot/space-history.json")
INTERVAL = 0.5  # seconds
TELL = 60  # seconds between two notes of what is free
SAMPLE, KEPT = 3600, 14 * 24 * 3600  # seconds between two samples of what is used, and how long they are kept
BACK = 1.25  # times the reserve must be free for mail to be taken again
LEAST_INODES = 0.01  # the part of the inodes that stays free
OWN_TIMEOUT = 30  # seconds, for programs here
UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}

Sample = list[int | float]  # time and bytes used


@dataclass(frozen=True)
class Settings:
    mail: str  # the folder of the mail
    reserve: str  # as 5G or 5%
    address: str  # where it is told whether there is room
    port: int
    partner: str  # address, empty where nothing is replicated
    dsync_port: int
    gate: str  # the file that Dovecot reads


def bytes_of(reserve: str, total: int) -> float:
    """Of a size as 5G, or a part of the file system as 5%; at most a tenth of a small one."""
    number, unit = reserve[:-1], reserve[-1:].upper()
    if unit == "%":
        return total * float(number) / 100
    return min(float(number) * UNITS[unit] if unit in UNITS else float(reserve), total / 10)


def is_low(disk: os.statvfs_result, reserve: str, *, was_low: bool) -> bool:
    """Whether to take no mail, of what statvfs tells."""
    factor = BACK if was_low else 1
    free, total = disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize
    no_inodes = disk.f_files > 0 and disk.f_favail < disk.f_files * LEAST_INODES * factor
    return free < bytes_of(reserve, total) * factor or no_inodes


def gate(low: bool) -> str:
    """The lines of the file that Dovecot reads: a service, and what its users get."""
    if not low:
        return ""
    return "lmtp:::::::userdb_tempfail=disk\nimap:::::::userdb_quota2_rule=*:storage=1B\n"


def cut_off(partner: str, port: int, *, low: bool) -> None:
    """Lets no dsync through between the partner and this node, or all; for it Dovecot has no gate."""
    if not partner:
        return
    family = "ip6" if ":" in partner else "ip"
    rules = "".join(
        f"chain {hook} {{ type filter hook {hook} priority filter - 20; "
        f"{family} {field} {partner} tcp dport {port} reject with tcp reset; }}\n"
        for hook, field in (("input", "saddr"), ("output", "daddr"))
    )
    # a table is made, so that there is one to be removed
    text = f"table inet {TABLE}\ndelete table inet {TABLE}\n" + (f"table inet {TABLE} {{\n{rules}}}\n" if low else "")
    subprocess.run(["nft", "-f", "-"], input=text, text=True, check=True, capture_output=True, timeout=OWN_TIMEOUT)


def full_on(samples: list[Sample], free: int, now: float) -> str | None:
    """The day on which the disk is full at the rate of the samples; None when it does not fill."""
    if len(samples) < 2 or samples[-1][1] <= samples[0][1]:
        return None
    rate = (samples[-1][1] - samples[0][1]) / (samples[-1][0] - samples[0][0])
    return time.strftime("%Y-%m-%d", time.gmtime(min(now + free / rate, now + 100 * 365 * 86400)))


def write(path: Path, text: str) -> None:
    new = path.with_name(path.name + ".new")
    with new.open("w", encoding="utf-8") as stream:
        os.fchmod(stream.fileno(), 0o644)
        stream.write(text)
    new.rename(path)


def read_history() -> list[Sample]:
    try:
        return json.loads(HISTORY.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []


class Space:
    """low: whether no mail is taken now; None before the first look."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.low: bool | None = None
        self.samples = read_history()
        self.told = 0.0

    def look(self) -> None:
        disk, now = os.statvfs(self.settings.mail), time.time()
        low = is_low(disk, self.settings.reserve, was_low=bool(self.low))
        if low != self.low:
            self.change(disk, low=low)
        self.sample(disk, now)
        if abs(now - self.told) >= TELL:
            self.tell(disk, now)

    def change(self, disk: os.statvfs_result, *, low: bool) -> None:
        self.set_gate(low=low)
        free, mail = disk.f_bavail * disk.f_frsize >> 20, self.settings.mail
        if low:
            print(f"{free} MiB are free below {mail}, less than the reserve: no mail is taken", flush=True)
            if self.low is not None:
                time.sleep(1)  # Dovecot looks at the file once a second
            node_program.doveadm("kick", "*", timeout=OWN_TIMEOUT)
        elif self.low:
            print(f"{free} MiB are free below {mail}: mail is taken again", flush=True)
        self.low, self.told = low, 0

    def set_gate(self, *, low: bool) -> None:
        write(Path(self.settings.gate), gate(low))
        cut_off(self.settings.partner, self.settings.dsync_port, low=low)

    def sample(self, disk: os.statvfs_result, now: float) -> None:
        if self.samples and 0 <= now - self.samples[-1][0] < SAMPLE:
            return
        used = (disk.f_blocks - disk.f_bfree) * disk.f_frsize
        self.samples = [sample for sample in self.samples if 0 <= now - sample[0] < KEPT] + [[now, used]]
        write(HISTORY, json.dumps(self.samples))

    def tell(self, disk: os.statvfs_result, now: float) -> None:
        """For verify and monitoring."""
        free, total = disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize
        reserve = int(bytes_of(self.settings.reserve, total))
        told = {"low": self.low, "free": free, "total": total, "reserve": reserve}
        write(STATE, json.dumps(told | {"full_on": full_on(self.samples, free, now)}))
        self.told = now


class Agent(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True

    def __init__(self, space: Space, address: str, port: int) -> None:
        class Answer(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                self.request.sendall(b"drain\n" if space.low else b"up ready\n")

        super().__init__((address, port), Answer)


def main() -> None:
    settings = Settings(**node_program.settings_of("space"))
    space = Space(settings)
    if "--open" in sys.argv[1:]:
        # whoever stops this program gets a node that takes mail
        space.set_gate(low=False)
        return
    space.look()
    threading.Thread(target=Agent(space, settings.address, settings.port).serve_forever, daemon=True).start()
    node_program.repeat(space.look, INTERVAL, "trouble here")


if __name__ == "__main__":
    main()
