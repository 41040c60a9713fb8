"""Where things are: in the checkout, and for the whole machine, which has one lab at a time."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
INVENTORIES = ROOT / "inventories"
SITE_PLAYBOOK = ROOT / "playbooks" / "site.yml"

# State of this checkout, git-ignored.
LAB = ROOT / ".lab"
SSH_KEY = LAB / "ssh" / "id_ed25519"
COLLECTIONS = LAB / "collections"
COLLECTION = COLLECTIONS / "ansible_collections" / "mailcluster" / "dovecot"
TESTS = LAB / "tests"  # output and results of the tests

# State of the machine: there is one lab at a time, whichever checkout it came from.
STATE = Path("/run/mailcluster-lab")
STORE = Path("/var/lib/mailcluster-lab")
LOCK = STATE / "lock"
BOOT_ID = STATE / "boot_id"
CURRENT = STATE / "lab.json"
CONTROL_SOCKETS = STATE / "cp"
IMAGES = STORE / "images"
ENCLOSURES = STORE / "enclosures"
PODMAN_ROOT = STORE / "storage"
PODMAN_NETWORKS = STORE / "networks"
PODMAN_RUN = STATE / "run"
PODMAN_TMP = STATE / "tmp"
VM_KERNELS = STORE / "vm" / "kernels"
VM_IMAGES = STORE / "vm" / "images"
VM_NODES = STORE / "vm" / "nodes"
VM_DISKS = STORE / "vm" / "disks"  # those that several nodes share

BRIDGE = "mailcluster0"
IMAGE = "localhost/mailcluster-lab-node"
