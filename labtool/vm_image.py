"""The image of a virtual machine: disk, kernel and initial memory disk, made once and kept until their recipe changes."""

from __future__ import annotations

import hashlib
from pathlib import Path

from labtool import image, packages, paths
from labtool.system import run, say

# Beside what every node has: its own kernel, and what storage nodes run. The roles find it installed, because apt takes
# minutes on an emulated machine.
PACKAGES = (
    *image.PACKAGES,
    "linux-image-amd64",
    "initramfs-tools",
    "udev",
    "kmod",
    "dovecot-core",
    "dovecot-imapd",
    "dovecot-lmtpd",
    "dovecot-managesieved",
    "dovecot-pop3d",
    "dovecot-sieve",
    "fuse3",
    "glusterfs-client",
    "glusterfs-server",
    "nfs-common",
    "nfs-kernel-server",
)

# A node starts bare, whatever is installed: the roles start what they need.
DISABLED = (
    "dovecot.service",
    "glusterd.service",
    "nfs-blkmap.service",
    "nfs-client.target",
    "nfs-server.service",
    "rpcbind.service",
    "rpcbind.socket",
)

# Units that only make the boot longer. A node is reached by ssh and thrown away with its disk.
MASKED = (
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    "dpkg-db-backup.timer",
    "e2scrub_all.timer",
    "e2scrub_reap.service",
    "fstrim.timer",
    "getty.target",
    "getty-static.service",
    "serial-getty@ttyS0.service",
    "systemd-binfmt.service",
    "systemd-networkd.service",
    "systemd-pstore.service",
)

# All that it takes to find the disk; without such a list the initial memory disk has the drivers of every machine.
MODULES = ("virtio_pci", "virtio_blk", "virtio_net", "ext4")

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
    esac
done
until [ -e /sys/class/net/eth0 ]; do sleep 0.2; done
ip link set eth0 mtu "$mtu" up
ip address replace "$address" dev eth0
ip route replace default via "$gateway"
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
chmod 0755 usr/local/sbin/lab-identity
cat > etc/systemd/system/lab-identity.service <<'END'
{UNIT}END
chroot . systemctl mask {" ".join(MASKED)}
chroot . systemctl disable {" ".join(DISABLED)}
chroot . systemctl enable lab-identity.service
echo MODULES=list > etc/initramfs-tools/conf.d/lab
printf '%s\\n' {" ".join(MODULES)} >> etc/initramfs-tools/modules
chroot . update-initramfs -u
"""

# No reserve for root and no checks by date: it lives for one lab.
FILESYSTEM = ("mke2fs", "-q", "-t", "ext4", "-m", "0", "-L", "root")
SIZE = "4G"
FILES = ("disk.img", "vmlinuz", "initrd.img")


def folder() -> Path:
    recipe = "\0".join([*image.arguments("-", PACKAGES, HOOK), *FILESYSTEM, SIZE])
    return paths.VM_IMAGES / hashlib.sha256(recipe.encode()).hexdigest()[:12]


def exists() -> bool:
    return folder().exists()


def ensure() -> str:
    """The image's folder, after it was built if need be."""
    if exists():
        say(f"The image of virtual machines is there: {folder()}")
        return str(folder())
    packages.ensure("qemu-system-x86", "qemu-utils", "e2fsprogs")
    say(f"Building the image of virtual machines, Debian {image.SUITE} (two minutes): {folder()}")
    draft = paths.VM_IMAGES / "draft"
    run(["rm", "-rf", "--one-file-system", draft])
    draft.mkdir(parents=True)
    _build(draft)
    # Complete or not there at all.
    draft.rename(folder())
    return str(folder())


def _build(draft: Path) -> None:
    root = draft / "root"
    image.bootstrap(image.arguments(root, PACKAGES, HOOK))
    say("  making a disk of it")
    for file in ("vmlinuz", "initrd.img"):
        (root / file).resolve().rename(draft / file)
    run([*FILESYSTEM, "-d", root, draft / "disk.img", SIZE])
    run(["rm", "-rf", "--one-file-system", root])


def remove_others() -> None:
    """Images of earlier recipes only take space; none is in use when this is called."""
    for other in paths.VM_IMAGES.glob("*"):
        if other != folder():
            run(["rm", "-rf", "--one-file-system", other])
