"""File systems on which several backends work at once: deployed behind directors and without, and what is asked of each."""

from __future__ import annotations

from clients import eventually
from storage import MOUNT, assert_same_mail, boxes_of, empty, home_of, no_mailbox_broken, unmount, work_at_once
from topologies import inventory

SECONDS = 30  # of two nodes at once in one mailbox
MOVES = 4


def deploy(ansible, kind, source, *words):
    variables = ("-e", f"dovecot_shared_storage_type={kind}", "-e", f"dovecot_shared_storage_source={source}")
    done = ansible("site.yml", *variables, *words)
    assert done.returncode == 0, done.stdout[-3000:]


def deploy_without_directors(lab, folder, ansible, backends, kind, source):
    """The same backends, each for everybody at any time."""
    unmount(*backends)
    tree = {
        "dovecot_cluster": {
            "children": {
                "dovecot_backends": {
                    "children": {
                        "dovecot_shared_storage": {
                            "vars": {"dovecot_partition": "shared"},
                            "hosts": {node.name: {"ansible_host": node.address} for node in backends},
                        }
                    }
                }
            }
        }
    }
    hosts = inventory(lab, folder / "inventory", tree)
    deploy(ansible, kind, source, "--inventory", hosts)


def assert_mounted(backends, source, filesystem, settings):
    for node in backends:
        assert node.run("findmnt --noheadings --output SOURCE,FSTYPE /var/vmail").split() == [source, filesystem]
        told = node.run("doveconf " + " ".join(settings))
        assert dict(line.split(" = ") for line in told.splitlines()) == settings


def assert_nothing_is_missing_after_moves(nodes, clients, backends):
    """A user goes from one backend to the other and back, with deliveries in between, and finds all mail."""
    user = sorted(clients.passwords)[0]
    eventually(lambda: clients.deliver(user), 60, "a delivery")
    sent = []
    with no_mailbox_broken(backends):
        for _move in range(MOVES):
            sent += [clients.deliver(user) for _message in range(5)]
            found = {entry[4] for entry in boxes_of(clients, [user])[user]["messages"]}
            assert set(sent) <= found, "mail is missing"
            (other,) = [node for node in backends if node is not home_of(user, nodes)]
            nodes["director1"].run(f"doveadm director move {user} {other.address}")
            eventually(lambda other=other: home_of(user, nodes) is other, 20, f"{user} on {other.name}")


def assert_two_at_once_lose_nothing(clients, backends):
    user = sorted(clients.passwords)[1]
    for node in backends:
        eventually(lambda node=node: clients.deliver(user, host=node.address), 60, f"a delivery at {node.name}")
    empty(clients, user, backends[0].address)
    with no_mailbox_broken(backends):
        workers = work_at_once(clients, user, backends, SECONDS)
        assert_same_mail(clients, user, backends, workers)
    assert all(len(worker.added) > 4 and worker.changes for worker in workers), "too little was done"
    print(f"{sum(len(worker.added) for worker in workers)} messages added in {SECONDS} s")


def stop(backends):
    """Nothing of what was mounted is left."""
    for node in backends:
        node.run(f"systemctl stop dovecot; systemctl stop {MOUNT}; ! findmnt /var/vmail")
