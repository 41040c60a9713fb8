"""The disk of virtual machines: built once, and kept until its recipe changes. Each machine writes to its own copy."""

from __future__ import annotations

import hashlib
from pathlib import Path

from labtool import image, packages, paths, system, vm_kernel
from labtool.system import run, say

# In addition to every node's packages: those for a kernel of its own, and those of storage nodes. They are installed in advance,
# because apt starts many processes, which is slow on such a machine.
PACKAGES = (
    *image.PACKAGES,
    "udev",
    "kmod",
    *image.DOVECOT,
    "fuse3",
    "glusterfs-client",
    "glusterfs-server",
    "nfs-common",
    "nfs-kernel-server",
    "ocfs2-tools",
    "gfs2-utils",
    "dlm-controld",
    "corosync",
    # For clusters that fail over, with a mirrored disk or one of a SAN, whose nodes switch each other off.
    "drbd-utils",
    "fence-agents",
    "ipmitool",
    "lvm2",
    "open-iscsi",
    "pacemaker",
    "pacemaker-cli-utils",
    "resource-agents",
    "sbd",
    "sg3-utils",
    "xfsprogs",
)

# Nothing of this runs on a new node: the roles start what they need.
DISABLED = (
    "corosync.service",
    "dlm.service",
    "dovecot.service",
    "drbd.service",
    "glusterd.service",
    "iscsid.service",
    "iscsid.socket",
    "logd.service",
    "nfs-blkmap.service",
    "nfs-client.target",
    "nfs-server.service",
    "o2cb.service",
    "ocfs2.service",
    "open-iscsi.service",
    "pacemaker.service",
    "rpcbind.service",
    "rpcbind.socket",
    "sbd.service",
    # It would be required by dlm.
    "sbd_remote.service",
)

# Units that only make the boot slower. A node is used by ssh, and thrown away with its disk.
MASKED = (
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    "blk-availability.service",
    "dm-event.socket",
    "dpkg-db-backup.timer",
    "e2scrub_all.timer",
    "e2scrub_reap.service",
    "fstrim.timer",
    "getty.target",
    "getty-static.service",
    # Volumes are activated by events, as their disks appear.
    "lvm2-lvmpolld.socket",
    "lvm2-monitor.service",
    "modprobe@drm.service",
    "modprobe@efi_pstore.service",
    "proc-sys-fs-binfmt_misc.automount",
    "systemd-binfmt.service",
    "systemd-networkd.service",
    "systemd-pstore.service",
)

# systemd runs all of them at every reload. Each takes 0.1 to 0.2 s, because starting a process is slow.
GENERATORS = (
    "systemd-cryptsetup-generator",
    "systemd-debug-generator",
    "systemd-getty-generator",
    "systemd-gpt-auto-generator",
    "systemd-hibernate-resume-generator",
    "systemd-integritysetup-generator",
    "systemd-rc-local-generator",
    "systemd-run-generator",
    "systemd-system-update-generator",
    "systemd-veritysetup-generator",
)
# The same applies to devices that nothing uses.
TRIGGER = """[Service]
ExecStart=
ExecStart=-udevadm trigger --type=all --action=add --subsystem-match=block --subsystem-match=net
"""

# By ICMP, which the lab machine's kernel answers.
CLOCK = '''#!/usr/bin/python3 -IS
# Sets the clock by that of another machine, to a millisecond or a few: the kernel begins with a whole second.
import socket
import struct
import sys
import time

DAY = 86400
REQUEST, REPLY = 13, 14


def ask(line, number):
    """How long the answer took, and how far this clock is ahead."""
    before = time.time()
    line.send(struct.pack("!BBHHHIII", REQUEST, 0, 0xFFFF - (REQUEST << 8) - number, 0, number, 0, 0, 0))
    while True:
        kind, sequence, received = struct.unpack_from("!B5xH4xI", line.recv(1500), 20)
        after = time.time()
        if (kind, sequence) == (REPLY, number):
            return after - before, ((before + after) / 2 - received / 1000 + DAY / 2) % DAY - DAY / 2


with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as line:
    line.settimeout(2)
    line.connect((sys.argv[1], 0))
    took, ahead = min(ask(line, number) for number in range(5))
    time.clock_settime(time.CLOCK_REALTIME, time.time() - ahead)
'''

# A private key that a power cut left empty is made again.
IDENTITY = """#!/bin/sh
# Makes this machine the one that its kernel's command line names.
set -eu
for word in $(cat /proc/cmdline); do
    case $word in
        lab.name=*) name=${word#*=} ;;
        lab.address=*) address=${word#*=} ;;
        lab.gateway=*) gateway=${word#*=} ;;
        lab.mtu=*) mtu=${word#*=} ;;
        lab.dns=*) dns=${word#*=} ;;
        lab.key=*) key=${word#*=} ;;
        # Its timer resets the machine, as one in hardware does.
        lab.watchdog=1) modprobe softdog ;;
    esac
done
# The kernel calls it vec0, everybody else eth0.
until [ -e /sys/class/net/vec0 ] || [ -e /sys/class/net/eth0 ]; do sleep 0.1; done
[ -e /sys/class/net/eth0 ] || ip link set vec0 name eth0
ip link set eth0 mtu "$mtu" up
ip address replace "$address" dev eth0
ip route replace default via "$gateway"
# Without it, a clock is a second behind at most.
lab-clock "$gateway" || true
echo "$name" >/proc/sys/kernel/hostname
echo "$name" >/etc/hostname
printf '127.0.0.1 localhost\\n::1 localhost\\n%s %s\\n' "${address%/*}" "$name" >/etc/hosts
echo "$dns" | tr , '\\n' | sed -n 's/^..*/nameserver &/p' >/etc/resolv.conf
echo "$key" | tr , ' ' >/root/.ssh/authorized_keys
if ! [ -s /etc/ssh/ssh_host_ed25519_key ]; then
    rm -f /etc/ssh/ssh_host_*
    ssh-keygen -q -t ed25519 -N '' -f /etc/ssh/ssh_host_ed25519_key
fi
"""

UNIT = """[Unit]
Description=Name, address and keys of this node of the lab
DefaultDependencies=no
After=systemd-remount-fs.service
Before=sysinit.target shutdown.target
Conflicts=shutdown.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/local/sbin/lab-identity

[Install]
WantedBy=sysinit.target
"""

HOOK = f"""{image.SETTINGS}
echo "HostKey /etc/ssh/ssh_host_ed25519_key" >> etc/ssh/sshd_config.d/lab.conf
rm -f etc/ssh/ssh_host_*
cat > usr/local/sbin/lab-identity <<'END'
{IDENTITY}END
cat > usr/local/sbin/lab-clock <<'END'
{CLOCK}END
chmod 0755 usr/local/sbin/lab-identity usr/local/sbin/lab-clock
cat > etc/systemd/system/lab-identity.service <<'END'
{UNIT}END
chroot . systemctl mask {" ".join(MASKED)}
chroot . systemctl disable {" ".join(DISABLED)}
chroot . systemctl enable lab-identity.service
mkdir -p etc/systemd/system-generators etc/systemd/system/systemd-udev-trigger.service.d lib/modules
for generator in {" ".join(GENERATORS)}; do ln -s /dev/null "etc/systemd/system-generators/$generator"; done
cat > etc/systemd/system/systemd-udev-trigger.service.d/lab.conf <<'END'
{TRIGGER}END
cp -a {vm_kernel.modules(vm_kernel.folder())}/* lib/modules/
for version in lib/modules/*; do chroot . depmod "${{version##*/}}"; done
"""

# Without a reserve for root: the disk is used by one lab only.
FILESYSTEM = ("mke2fs", "-q", "-t", "ext4", "-m", "0", "-L", "root")
SIZE = "4G"


def folder() -> Path:
    recipe = "\0".join([*image.arguments("-", PACKAGES, HOOK), *FILESYSTEM, SIZE])
    return paths.VM_IMAGES / hashlib.sha256(recipe.encode()).hexdigest()[:12]


def disk(place: Path) -> Path:
    return place / "disk.img"


def exists() -> bool:
    return folder().exists() and vm_kernel.folder().exists()


def ensure() -> str:
    """Build the image if it is missing, and return its folder."""
    if exists():
        say(f"The disk of virtual machines exists: {folder()}")
        return str(folder())
    packages.ensure("e2fsprogs")
    vm_kernel.ensure()
    say(f"Building the disk of virtual machines, Debian {image.SUITE} (a minute): {folder()}")
    draft = paths.VM_IMAGES / "draft"
    system.unmount_below(draft)
    run(["rm", "-rf", "--one-file-system", draft, folder()])
    draft.mkdir(parents=True)
    _build(draft)
    # Only a complete one gets its final name.
    draft.rename(folder())
    return str(folder())


def _build(draft: Path) -> None:
    root = draft / "root"
    image.bootstrap(image.arguments(root, PACKAGES, HOOK))
    say("  creating a disk from it")
    run([*FILESYSTEM, "-d", root, disk(draft), SIZE])
    run(["rm", "-rf", "--one-file-system", root])


def remove_others() -> None:
    """Remove disks and kernels of earlier recipes. None of them is in use when this is called."""
    for kept in (folder(), vm_kernel.folder()):
        system.remove_others(kept)
