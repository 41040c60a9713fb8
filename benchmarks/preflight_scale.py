"""Time in which preflight judges an inventory of 1,000 hosts, without a users' list and with one of 10,000 users.

Measured within this process, from the reading of the inventory's files to the verdict; no node is needed.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import yaml
from _lab import CHECKOUT, machine, show

sys.path.insert(0, str(CHECKOUT / "tests/unit/playbooks"))
HOSTS = 1000
HASH = "{SHA512-CRYPT}$6$abcdefgh$" + 86 * "x"
ENTRY = {"dovecot_loadbalancers": ("lb1", "lb2"), "dovecot_directors": ("director1", "director2")}


def partitions():
    return {
        f"partition_{number}": {
            "vars": {"dovecot_partition": f"p{number}"},
            "hosts": {
                f"mail{number}{side}": {"ansible_host": f"10.0.{number // 100}.{2 * (number % 100) + offset}"}
                for offset, side in ((1, "a"), (2, "b"))
            },
        }
        for number in range((HOSTS - 4) // 2)
    }


def inventory(folder, users, template):
    from test_refusals import Inventory

    found = Inventory(folder)
    pairs = partitions()
    found.groups["dovecot_backends"] = {"children": pairs}
    found.groups["dovecot_replicated"] = {"children": dict.fromkeys(pairs)}
    for offset, (group, names) in enumerate(ENTRY.items()):
        for number, name in enumerate(names, 1):
            found.groups[group]["hosts"][name] = {"ansible_host": f"10.0.200.{10 * offset + number}"}
    (found.folder / "hosts.yml").write_text(yaml.safe_dump(found.hosts))
    (found.folder / "group_vars/dovecot_cluster/users.yml").write_text(
        yaml.safe_dump(
            {
                "dovecot_vip": "10.0.200.99/16",
                "a_hash": HASH,
                "dovecot_users": [
                    {
                        "name": f"user{number}@example.org",
                        "partition": f"p{number % len(pairs)}",
                        "password": "{{ a_hash }}" if template else HASH,
                    }
                    for number in range(users)
                ],
            }
        )
    )
    return found.folder / "hosts.yml"


def main():
    from labtool import environment

    environment.link_collection()
    sys.path.insert(0, str(environment.paths.COLLECTIONS))
    from on_controller import judged

    print(machine())
    for users, template in ((0, False), (10000, False), (10000, True)):
        with tempfile.TemporaryDirectory() as folder:
            hosts = inventory(Path(folder), users, template)
            begin = time.perf_counter()
            result, refused = judged(hosts)
            assert result and not refused, refused
            show(
                f"{HOSTS} hosts, {users} users{', each password a template' if template else ''}",
                f"{time.perf_counter() - begin:.1f} s",
            )


if __name__ == "__main__":
    main()
