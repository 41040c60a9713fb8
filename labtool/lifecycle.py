"""Builds a cluster and checks it, or removes it."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

from labtool import bmc, cgroups, enclosure, image, inventory, kernel, nodes, paths, probe, tls, vm_image
from labtool.environment import environment
from labtool.inventory import Cluster
from labtool.system import LabError, phase, say, stream

# What a real site already has, by groups: a title, the groups, and the playbook that sets it up.
GIVEN = (
    ("User databases", inventory.DATABASES, "databases.yml"),
    ("File system of a shared disk", inventory.CLUSTER_FILESYSTEMS, "storage.yml"),
    ("Volumes of disks", inventory.VOLUMES, "volumes.yml"),
    ("Disk of a SAN", inventory.ISCSI, "iscsi.yml"),
)


def up(variant: str) -> None:
    begin = time.monotonic()
    cluster = create_nodes(variant)
    with phase("Deployment: playbooks/site.yml"):
        converge(cluster)
    with phase("Check: a message for a user of each partition"):
        probe.prove(cluster)
    say(f"\nThe cluster {variant} is up and passes mail after {time.monotonic() - begin:.0f} s.\n")


def create_nodes(variant: str, *, fresh: bool = False, stocked: bool = False) -> Cluster:
    """Start the nodes, and create the files beside the inventory that a deployment needs."""
    cluster = inventory.load(variant)
    with phase("Image of the nodes"):
        nodes.repair()
        images = ensure_images({node.kind for node in cluster.nodes}, stocked=stocked)
    with phase(f"Nodes of {cluster.inventory.relative_to(paths.ROOT)}"):
        if not fresh and nodes.serve_on(cluster, images):
            say(f"The {len(cluster.nodes)} nodes of variant {variant} are already running")
        else:
            nodes.remove()
            remove_old_images()
            nodes.create(cluster, images)
    if any(node.bmc for node in cluster.nodes):
        with phase("BMCs of machines"):
            bmc.ensure(cluster)
    with phase("Certificate"):
        tls.ensure(cluster)
    for title, groups, playbook in GIVEN:
        if any(cluster.members(group) for group in groups):
            with phase(f"{title}: labtool/{playbook}"):
                give(cluster, playbook)
    _remember(variant)
    return cluster


def ensure_images(kinds: set[str], *, stocked: bool) -> dict[str, str]:
    """Build the images that these kinds of nodes need, if they are missing."""
    made = {"container": lambda: image.ensure(stocked=stocked), "vm": vm_image.ensure}
    return {kind: make() for kind, make in made.items() if kind in kinds}


def remove_old_images() -> None:
    """Remove images of other recipes, unless a lab or another checkout's scenarios may be using them."""
    if not enclosure.inside() and not enclosure.in_use() and not nodes.present():
        image.remove_others()
        vm_image.remove_others()


def give(cluster: Cluster, playbook: str) -> None:
    """Set up what a real site already has."""
    command = [paths.VENV / "bin" / "ansible-playbook", Path(__file__).with_name(playbook)]
    if stream(command, env=environment(cluster.inventory), cwd=paths.ROOT, to_stderr=True) != 0:
        raise LabError(f"labtool/{playbook} failed (see above). To try again: ./lab up")


def destroy_nodes() -> None:
    nodes.remove()
    paths.CURRENT.unlink(missing_ok=True)


def converge(cluster: Cluster) -> None:
    if not paths.SITE_PLAYBOOK.exists():
        raise LabError(f"There is no playbook {paths.SITE_PLAYBOOK}. The nodes are up, but bare.")
    command = [paths.VENV / "bin" / "ansible-playbook", paths.SITE_PLAYBOOK]
    code = stream(command, env=environment(cluster.inventory), cwd=paths.ROOT, to_stderr=True)
    if code != 0:
        raise LabError(
            f"playbooks/site.yml failed (exit code {code}, see above). The nodes are still there."
            " To look at them: ./lab status. When you have fixed the cause, './lab up' uses them again."
        )


def down(*, keep_image: bool) -> int:
    removed = nodes.remove()
    paths.CURRENT.unlink(missing_ok=True)
    busy = enclosure.in_use()
    if busy:
        say("Scenarios are running on this machine. What they need is kept.")
    else:
        removed += enclosure.remove_all()
        if kernel.restore_limits():
            removed.append("the raised limits of the kernel")
    if not keep_image and not busy:
        if cgroups.stop():
            removed.append("the mount namespace of podman")
        removed += nodes.remove_storage(paths.STORE)
        shutil.rmtree(paths.CONTROL_SOCKETS, ignore_errors=True)
        paths.BOOT_ID.unlink(missing_ok=True)
    say("Removed: " + ", ".join(removed) if removed else "Nothing to remove.")
    return 0


def _remember(variant: str) -> None:
    paths.CURRENT.write_text(json.dumps({"root": str(paths.ROOT), "variant": variant}) + "\n")


def current_variant() -> str | None:
    """The variant that this checkout has up."""
    try:
        current = json.loads(paths.CURRENT.read_text())
        root, variant = current["root"], current["variant"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return variant if root == str(paths.ROOT) and variant in inventory.variants() else None
