"""The kernel of virtual machines: Debian's User Mode Linux, kept until its recipe changes.

The packaged kernel supports nftables only for bridges. The modules for the other families are compiled from Debian's source of
the same version. They can be loaded together with the packaged modules, because CONFIG_MODVERSIONS is not set.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from labtool import packages, paths
from labtool.system import LabError, complaint, run, say

PACKAGE = "user-mode-linux"
TOOLS = ("bc", "bison", "flex", "gcc", "libc6-dev", "make", "xz-utils")

ENABLED = ("NF_TABLES_INET", "NF_TABLES_IPV4", "NF_TABLES_IPV6", "DEBUG_INFO_NONE")
AS_MODULES = ("NFT_NAT", "NFT_REJECT_INET")
# Every module whose code depends on these options.
MODULES = (
    "net/netfilter/nf_nat.ko",
    "net/netfilter/nf_tables.ko",
    "net/netfilter/nft_chain_nat.ko",
    "net/netfilter/nft_masq.ko",
    "net/netfilter/nft_nat.ko",
    "net/netfilter/nft_redir.ko",
    "net/netfilter/nft_reject.ko",
    "net/netfilter/nft_reject_inet.ko",
    "net/ipv4/netfilter/nft_reject_ipv4.ko",
    "net/ipv6/netfilter/nft_reject_ipv6.ko",
)
# What compiling these modules does not read: four fifths of the source. The Kconfig files of all drivers are read.
UNREAD = ("*/Documentation/*.rst", "*/drivers/*.[chS]", "*/sound/*.[ch]", "*/tools/*/testing/*", "*/tools/testing/*")
NO_SOURCE = (
    "There is no source package {package} of version {version}, the version of the packaged User Mode Linux:\n{told}\n"
    "Virtual machines (lab_node: vm) need it for the firewall. Fix the package sources, then run this again."
)


def folder() -> Path:
    recipe = "\0".join([PACKAGE, *ENABLED, *AS_MODULES, *MODULES])
    return paths.VM_KERNELS / hashlib.sha256(recipe.encode()).hexdigest()[:12]


def program(kernel: Path) -> Path:
    return kernel / "linux.uml"


def modules(kernel: Path) -> Path:
    """The content of a machine's /lib/modules."""
    return kernel / "modules"


def ensure() -> Path:
    """Build the kernel if it is missing, and return its folder."""
    if folder().exists():
        return folder()
    packages.ensure(*TOOLS)
    say(f"Downloading the kernel for virtual machines, and compiling its nftables modules (a minute): {folder()}")
    draft = paths.VM_KERNELS / "draft"
    run(["rm", "-rf", draft])
    draft.mkdir(parents=True)
    _make(draft)
    # Only a complete one gets its final name.
    for place in ("fetched", "package", "source"):
        run(["rm", "-rf", draft / place])
    draft.rename(folder())
    return folder()


def _make(draft: Path) -> None:
    packaged = _unpacked(PACKAGE, draft / "package")
    (packaged / "usr/bin/linux.uml").rename(program(draft))
    (packaged / "usr/lib/uml/modules").rename(modules(draft))
    (version,) = (path.name for path in modules(draft).iterdir())
    source = _source(version, draft / "source")
    say(f"  compiling {len(MODULES)} modules for Linux {version}")
    config = run(["zcat", packaged / "usr/share/doc" / PACKAGE / "config.gz"]).stdout
    (source / ".config").write_text(config)
    choices = [("--enable", name) for name in ENABLED] + [("--module", name) for name in AS_MODULES]
    run(["scripts/config", *(word for choice in choices for word in choice)], cwd=source)
    run(["make", "ARCH=um", "olddefconfig"], cwd=source)
    # A warning only: the symbols that the modules need are in the packaged kernel, which is not compiled here.
    run(["make", f"-j{os.cpu_count()}", "ARCH=um", "KBUILD_MODPOST_WARN=1", *MODULES], cwd=source)
    for module in MODULES:
        target = modules(draft) / version / "kernel" / module
        target.unlink(missing_ok=True)
        (source / module).rename(target)


def _source(version: str, place: Path) -> Path:
    """The part of the kernel's source that is needed."""
    series = ".".join(version.split(".")[:2])
    package = f"linux-source-{series}"
    archive = _unpacked(f"{package}={version}-*", place) / "usr/src" / f"{package}.tar.xz"
    say(f"  unpacking the source of Linux {version}")
    left_out = [f"--exclude={pattern}" for pattern in UNREAD]
    run(["tar", "--extract", "--xz", "--wildcards", *left_out, "--file", archive], cwd=place)
    return place / package


def _unpacked(package: str, place: Path) -> Path:
    """The files of a package, which is not installed."""
    fetched = place.parent / "fetched"
    fetched.mkdir(exist_ok=True)
    command = ["apt-get", "download", "-o", "APT::Sandbox::User=root", package]
    result = run(command, cwd=fetched, check=False)
    if result.returncode != 0:
        # The package lists may be outdated or missing.
        run(["apt-get", "update"], check=False)
        result = run(command, cwd=fetched, check=False)
    if result.returncode != 0:
        name, _equals, version = package.partition("=")
        raise LabError(NO_SOURCE.format(package=name, version=version or "any", told=complaint(result)))
    (archive,) = fetched.glob("*.deb")
    place.mkdir()
    run(["dpkg-deb", "--extract", archive, place])
    archive.unlink()
    return place
