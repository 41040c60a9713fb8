"""The machines of the running lab in another topology."""

from __future__ import annotations

import shutil
from pathlib import Path

import yaml


def inventory(lab, folder, tree=None, variant=None):
    """A copy of the lab's inventory in a new I(folder), with the certificates of the running nodes; gives the path of its hosts.

    With I(tree) these hosts instead of its own, with I(variant) another example inventory.
    """
    own = Path(lab["inventory"]).parent
    source = own.parent / variant if variant else own
    shutil.copytree(source, folder, ignore=shutil.ignore_patterns(".secrets"))
    (folder / ".secrets").symlink_to(own / ".secrets")
    hosts = folder / "hosts.yml"
    if tree:
        hosts.write_text(yaml.safe_dump(tree))
    return hosts


def single_server(node):
    """One node alone, as a single server."""
    return {"dovecot_cluster": {"children": {"dovecot_backends": {"hosts": {node["name"]: {"ansible_host": node["address"]}}}}}}
