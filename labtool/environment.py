"""The environment in which Ansible and the tests see the lab: ``./lab run`` gives it to any command."""

from __future__ import annotations

import os
from pathlib import Path

from labtool import paths

SSH_OPTIONS = ("-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR")


def ssh(address: str) -> list[str]:
    """The command that opens a root shell on a node. A command for the node may follow."""
    return [
        "ssh",
        "-i",
        str(paths.SSH_KEY),
        *SSH_OPTIONS,
        "-o",
        "IdentitiesOnly=yes",
        "-o",
        "BatchMode=yes",
        "-o",
        # A busy machine takes seconds to answer.
        "ConnectTimeout=15",
        f"root@{address}",
    ]


def forget_connections() -> None:
    """A kept ssh connection to a node that is gone would be taken for one to its successor."""
    paths.CONTROL_SOCKETS.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Not the folder: two nodes may be killed at the same moment.
    for socket in paths.CONTROL_SOCKETS.iterdir():
        socket.unlink(missing_ok=True)


def environment(inventory: Path) -> dict[str, str]:
    """The caller's environment and the lab's settings. Settings that do not depend on the lab are in ansible.cfg."""
    link_collection()
    found = dict(os.environ)
    for variable in ("PYTHONPATH", "PYTHONHOME"):
        found.pop(variable, None)
    return found | {
        "PATH": f"{paths.VENV / 'bin'}:{found.get('PATH', '/usr/sbin:/usr/bin:/sbin:/bin')}",
        "VIRTUAL_ENV": str(paths.VENV),
        # Ansible needs a UTF-8 locale, which an empty environment does not have.
        "LC_ALL": "C.UTF-8",
        "LAB_ROOT": str(paths.ROOT),
        "LAB_INVENTORY": str(inventory),
        "ANSIBLE_CONFIG": str(paths.ROOT / "ansible.cfg"),
        "ANSIBLE_COLLECTIONS_PATH": str(paths.COLLECTIONS),
        "ANSIBLE_INVENTORY": str(inventory),
        "ANSIBLE_REMOTE_USER": "root",
        "ANSIBLE_PRIVATE_KEY_FILE": str(paths.SSH_KEY),
        # Nodes come and go with new host keys at the same addresses.
        "ANSIBLE_HOST_KEY_CHECKING": "False",
        "ANSIBLE_SSH_ARGS": " ".join(["-o ControlMaster=auto", "-o ControlPersist=120s", *_pairs(SSH_OPTIONS)]),
        # Short, because the path of a socket is limited to 108 characters.
        "ANSIBLE_SSH_CONTROL_PATH_DIR": str(paths.CONTROL_SOCKETS),
        # Known from the lab's image: no need to search for a Python.
        "ANSIBLE_PYTHON_INTERPRETER": "/usr/bin/python3",
        # A busy machine delays connections.
        "ANSIBLE_TIMEOUT": "30",
        "ANSIBLE_NOCOWS": "True",
    }


def _pairs(options: tuple[str, ...]) -> list[str]:
    return [f"{flag} {value}" for flag, value in zip(options[::2], options[1::2], strict=True)]


def link_collection() -> None:
    """Ansible looks for the collection by its name. The link leads it to this checkout."""
    paths.COLLECTION.parent.mkdir(parents=True, exist_ok=True)
    if not paths.COLLECTION.is_symlink() or paths.COLLECTION.resolve() != paths.ROOT:
        paths.COLLECTION.unlink(missing_ok=True)
        paths.COLLECTION.symlink_to(paths.ROOT)
