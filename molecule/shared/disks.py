"""A backend's mail on a small disk of its own, that can be filled."""

from __future__ import annotations

from contextlib import contextmanager

DISK, ROOM = 500, 150  # MiB; the reserve is a tenth of so small a disk


@contextmanager
def on_small_disk(backend, await_whole):
    """While this is entered; the mail is kept before and afterwards."""
    backend.run(
        "systemctl stop dovecot && mv /var/vmail /var/vmail.kept && mkdir /var/vmail && "
        f"mount -t tmpfs -o size={DISK}M,mode=0700,uid=5000,gid=5000 tmpfs /var/vmail && "
        "cp -a /var/vmail.kept/. /var/vmail && systemctl start dovecot"
    )
    await_whole()
    try:
        yield
    finally:
        backend.run(
            "systemctl stop dovecot && "
            "rm -rf /var/vmail.kept && cp -a /var/vmail /var/vmail.kept && umount /var/vmail && "
            "rmdir /var/vmail && mv /var/vmail.kept /var/vmail && systemctl start dovecot"
        )
        await_whole()


class BallastOn:
    """A file that leaves some MiB for mail."""

    FILE = "/var/vmail/ballast"

    def __init__(self, backend, room=ROOM):
        self.backend = backend
        free = int(backend.run("df --output=avail -m /var/vmail").split()[-1])
        backend.run(f"fallocate -l {free - room}M {self.FILE}")

    def remove(self):
        self.backend.run(f"rm -f {self.FILE}")
