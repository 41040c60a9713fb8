"""From nothing to a proven cluster, and back."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

from labtool import cgroups, image, inventory, kernel, nodes, paths, probe, status, tls, vm_image
from labtool.environment import environment
from labtool.inventory import Cluster
from labtool.system import LabError, phase, say, stream

IMAGES = {"container": image, "vm": vm_image}  # how to make them, by kind of node
DATABASES = Path(__file__).with_name("databases.yml")


def up(variant: str) -> int:
    begin = time.monotonic()
    cluster = create_nodes(variant)
    with phase("Converge: playbooks/site.yml"):
        converge(cluster)
    with phase("Proof: a message for a user of each partition"):
        probe.prove(cluster)
    say(f"\nThe cluster {variant} is up and proven after {time.monotonic() - begin:.0f} s.\n")
    return status.as_table()


def create_nodes(variant: str, *, fresh: bool = False) -> Cluster:
    """Nodes that answer, and the files beside the inventory that it takes to converge them."""
    cluster = inventory.load(variant)
    with phase("Image of the nodes"):
        nodes.repair()
        images = ensure_images(cluster)
    with phase(f"Nodes of {cluster.inventory.relative_to(paths.ROOT)}"):
        if not fresh and nodes.serve_on(cluster, images):
            say(f"The {len(cluster.nodes)} nodes of variant {variant} are there and answer; using them")
        else:
            nodes.remove()
            if not all(IMAGES[kind].exists() for kind in images):  # what could only be removed by force takes them along
                ensure_images(cluster)
            for kind in images:
                IMAGES[kind].remove_others()
            nodes.create(cluster, images)
    with phase("Certificate"):
        tls.ensure(cluster)
    if any(cluster.members(group) for group in inventory.DATABASES):
        with phase("User databases: labtool/databases.yml"):
            fill_databases(cluster)
    _remember(variant)
    return cluster


def ensure_images(cluster: Cluster) -> dict[str, str]:
    """The images that the nodes need, by kind of node."""
    return {kind: IMAGES[kind].ensure() for kind in IMAGES if cluster.of_kind(kind)}


def fill_databases(cluster: Cluster) -> None:
    """What the users are in, where a site has its own."""
    command = [paths.VENV / "bin" / "ansible-playbook", DATABASES]
    if stream(command, env=environment(cluster.inventory), cwd=paths.ROOT, to_stderr=True) != 0:
        raise LabError("labtool/databases.yml failed, see above. './lab up' tries again.")


def destroy_nodes() -> None:
    nodes.remove()
    paths.CURRENT.unlink(missing_ok=True)


def converge(cluster: Cluster) -> None:
    if not paths.SITE_PLAYBOOK.exists():
        raise LabError(f"There is no playbook {paths.SITE_PLAYBOOK}; the nodes are up, but bare.")
    command = [paths.VENV / "bin" / "ansible-playbook", paths.SITE_PLAYBOOK]
    code = stream(command, env=environment(cluster.inventory), cwd=paths.ROOT, to_stderr=True)
    if code != 0:
        raise LabError(
            f"playbooks/site.yml failed (exit code {code}, see above). The nodes are kept: look at one with"
            " './lab status', mend the cause, then './lab up' goes on with them."
        )


def down(*, keep_image: bool) -> int:
    removed = nodes.remove()
    paths.CURRENT.unlink(missing_ok=True)
    if kernel.restore_limits():
        removed.append("the raised limits of the kernel")
    if not keep_image:
        if cgroups.stop():
            removed.append("the mount namespace of podman")
        removed += nodes.remove_storage()
        shutil.rmtree(paths.CONTROL_SOCKETS, ignore_errors=True)
        paths.BOOT_ID.unlink(missing_ok=True)
    say("Removed: " + ", ".join(removed) if removed else "There was nothing to remove.")
    return 0


def _remember(variant: str) -> None:
    paths.CURRENT.write_text(json.dumps({"variant": variant}) + "\n")


def current_variant() -> str | None:
    """The variant that this checkout brought up last and did not take down."""
    try:
        variant = json.loads(paths.CURRENT.read_text())["variant"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return variant if variant in inventory.variants() else None
