"""The images of container nodes: a small Debian server, bare or with the packages of every role.

They are built once, and kept until their recipe changes. All labs on this machine share them.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path

from labtool import paths
from labtool.podman import limits, podman
from labtool.system import LabError, run, say

SUITE = "bookworm"

# What a minimal server has, without anything for mail: the roles install that.
PACKAGES = (
    "systemd",
    "systemd-sysv",
    "dbus",
    "python3",
    "python3-apt",
    "openssh-server",
    "iproute2",
    "nftables",
    "ca-certificates",
    "procps",
    "less",
)

DOVECOT = ("dovecot-core", "dovecot-imapd", "dovecot-lmtpd", "dovecot-managesieved", "dovecot-pop3d", "dovecot-sieve")
# What the roles install, except for databases. Scenarios do not have to show on each node that apt works.
STOCK = (*DOVECOT, "dovecot-auth-lua", "haproxy", "keepalived")
# Nothing of this runs on a new node: the roles start what they need.
STOPPED = ("dovecot.service", "haproxy.service", "keepalived.service")
STOCKING = f"""set -eu
apt-get update
DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends {" ".join(STOCK)}
apt-get clean
rm -rf /var/lib/apt/lists/*
systemctl disable {" ".join(STOPPED)}
"""

# Units that would change the machine that the containers share, or that make no sense in a container.
MASKED = (
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    "console-getty.service",
    "dpkg-db-backup.timer",
    "e2scrub_all.timer",
    "e2scrub_reap.service",
    "getty.target",
    "proc-sys-fs-binfmt_misc.automount",
    "sys-fs-fuse-connections.mount",
    "sys-kernel-debug.mount",
    "sys-kernel-tracing.mount",
    "systemd-binfmt.service",
    "systemd-modules-load.service",
    "systemd-networkd.service",
    "systemd-remount-fs.service",
    "systemd-udevd.service",
)

# The lab's settings on every node, container or virtual machine. The script's argument is the root directory.
SETTINGS = """set -eu
cd "$1"
rm -f etc/machine-id
: > etc/machine-id
mkdir -p etc/ssh/sshd_config.d etc/systemd/journald.conf.d root/.ssh
chmod 0700 root/.ssh
cat > etc/ssh/sshd_config.d/lab.conf <<END
PasswordAuthentication no
PermitRootLogin prohibit-password
UseDNS no
MaxStartups 64
MaxSessions 64
END
cat > etc/systemd/journald.conf.d/lab.conf <<END
[Journal]
Storage=volatile
RuntimeMaxUse=32M
RateLimitIntervalSec=0
END
"""

# In a privileged container, the distribution's kernel settings would apply to the whole machine.
HOOK = f"""{SETTINGS}
rm -f usr/lib/sysctl.d/*.conf
chroot . systemctl mask {" ".join(MASKED)}
"""

CHANGES = ('--change=CMD ["/lib/systemd/systemd"]', "--change=STOPSIGNAL SIGRTMIN+3")


def arguments(target: str | Path, packages: tuple[str, ...] = PACKAGES, hook: str = HOOK) -> list[str]:
    mirror = os.environ.get("LAB_DEBIAN_MIRROR")
    return [
        "mmdebstrap",
        "--variant=minbase",
        f"--include={','.join(packages)}",
        f"--customize-hook={hook}",
        SUITE,
        str(target),
        *([mirror] if mirror else []),
    ]


def name(*, stocked: bool = False) -> str:
    recipe = "\0".join([*arguments("-"), *CHANGES, *([STOCKING] if stocked else [])])
    return f"{paths.IMAGE}{'-stocked' if stocked else ''}:{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"


def exists(*, stocked: bool = False) -> bool:
    result = _podman("image", "exists", name(stocked=stocked), check=False)
    if result.returncode > 1:
        raise LabError(f"podman cannot read the lab's image storage:\n{result.stderr.strip()}\nRemove it with: ./lab down")
    return result.returncode == 0


def ensure(*, stocked: bool = False) -> str:
    """Build the image if it is missing, and return its name."""
    wanted = name(stocked=stocked)
    if exists(stocked=stocked):
        say(f"The node image exists: {wanted}")
    elif stocked:
        _stock(ensure(), wanted)
    else:
        _build(wanted)
    return wanted


def _build(wanted: str) -> None:
    say(f"Building the node image, Debian {SUITE} (about a minute): {wanted}")
    archive = paths.STORE / "image.tar"
    # Not in bootstrap: the disk of virtual machines, which is made at the same time, would remove what is at work here.
    for remains in paths.STORE.glob("mmdebstrap.*"):
        # A run that has just been killed may still be removing its own.
        run(["rm", "-rf", "--one-file-system", remains], check=False)
    try:
        bootstrap(arguments(archive))
        say("  importing it")
        _podman("import", "--quiet", *CHANGES, archive, wanted, timeout=300)
    finally:
        archive.unlink(missing_ok=True)


def _stock(bare: str, wanted: str) -> None:
    say(f"Adding the packages that the roles install (half a minute): {wanted}")
    made = f"mailcluster-stock-{os.getpid()}"
    try:
        options = (*limits(), f"--name={made}", "--privileged", "--pids-limit=-1", "--network=host", "--pull=never")
        _podman("run", *options, bare, "bash", "-c", STOCKING, timeout=600)
        _podman("commit", "--quiet", *CHANGES, made, wanted, timeout=300)
    finally:
        _podman("rm", "--force", "--ignore", made, check=False)


def _podman(*words: str | Path, check: bool = True, timeout: float = 120) -> subprocess.CompletedProcess[str]:
    return podman(*words, check=check, timeout=timeout, root=paths.IMAGES)


def bootstrap(argv: list[str]) -> None:
    """Run mmdebstrap, and show its headlines. If it fails, show the end of its output."""
    paths.STORE.mkdir(parents=True, exist_ok=True)
    told: list[str] = []
    with subprocess.Popen(
        ["setpriv", "--pdeathsig", "TERM", "--", *argv],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        # Not /tmp, which may be a small memory disk. And here './lab down' finds what a killed run leaves.
        env=os.environ | {"TMPDIR": str(paths.STORE), "LC_ALL": "C.UTF-8"},
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            told.append(line.rstrip())
            if line.startswith("I: ") and not line.startswith("I: running --"):
                say(f"  {line[3:].rstrip()}")
    if process.returncode != 0:
        tail = "\n".join(told[-20:])
        raise LabError(
            f"mmdebstrap could not build the node image (exit code {process.returncode}):\n{tail}\n"
            "Can a Debian mirror be reached? To use another one, set LAB_DEBIAN_MIRROR=http://..."
        )


def remove_others() -> None:
    """Remove images of earlier recipes. None of them is in use when this is called."""
    wanted = {name(), name(stocked=True)}
    for image in _podman("images", "--format={{.Repository}}:{{.Tag}}", check=False).stdout.split():
        if image not in wanted:
            _podman("rmi", "--force", image, check=False)
