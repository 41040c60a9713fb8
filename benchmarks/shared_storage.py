"""What shared storage costs: deliveries and fetches a second beside the node's own disk, and what each setting does to them."""

from __future__ import annotations

import secrets
from contextlib import contextmanager
from pathlib import Path

import yaml
from _lab import deploy, deploy_as, fits, machine, on, rate, show, status
from clients import Clients, must

CLIENTS = 4
SECONDS = 15
UNTUNED = ["nfsvers=4.2", "hard"]

# Title to whether directors are told of, and the variables that differ from the example inventories.
WAYS = {
    "the node's own disk": ("own disk", {}),
    "NFS behind directors": ("directors", {}),
    "the same, mounted with the kernel's own options": ("directors", {"dovecot_shared_storage_mount_options": UNTUNED}),
    "the same, volatile files in memory": ("directors", {"dovecot_shared_storage_volatile_dir": "/dev/shm/dovecot"}),
    "NFS without directors": ("simple", {}),
    "Maildir on the node's own disk": ("own disk", {"dovecot_backend_mail_location": "maildir:~/Maildir"}),
    "Maildir on NFS behind directors": ("directors", {"dovecot_backend_mail_location": "maildir:~/Maildir"}),
    "the same, indexes on the node's own disk": (
        "directors",
        {"dovecot_backend_mail_location": "maildir:~/Maildir", "dovecot_shared_storage_index_dir": "/var/lib/dovecot-indexes"},
    ),
    "the same, and maildir_very_dirty_syncs": (
        "directors",
        {
            "dovecot_backend_mail_location": "maildir:~/Maildir",
            "dovecot_shared_storage_index_dir": "/var/lib/dovecot-indexes",
            "dovecot_settings": {"maildir_very_dirty_syncs": True},
        },
    ),
}


def hosts_of(lab, kind):
    """The inventory's hosts with one backend, who is measured at; all the same machines."""
    tree = yaml.safe_load(Path(lab["inventory"]).read_text())
    groups = tree["dovecot_cluster"]["children"]
    groups.pop("dovecot_loadbalancers", None)
    shared = groups["dovecot_backends"]["children"]["dovecot_shared_storage"]
    shared["hosts"].pop("mail2")
    if kind != "directors":
        groups.pop("dovecot_directors")
    if kind == "own disk":
        groups["dovecot_backends"] = {"vars": {"dovecot_partition": "shared"}, "hosts": shared["hosts"]}
        groups.pop("dovecot_nfs_servers")
    return tree


# On the storage it is the mail user alone who may.
EMPTY = (
    "cd /; systemctl stop dovecot; find /var/lib/dovecot-indexes -mindepth 1 -delete 2>/dev/null; "
    "setpriv --reuid=5000 --regid=5000 --clear-groups find /var/vmail -mindepth 1 -delete"
)
UNMOUNT = "systemctl stop dovecot; systemctl stop var-vmail.mount 2>/dev/null; ! mountpoint -q /var/vmail"


@contextmanager
def deployed(lab, node, kind, variables):
    """The backend in another way, with empty mailboxes before and after."""
    on(node, f"{EMPTY}; {UNMOUNT}")
    hosts = node["name"] if kind == "own disk" else f"{node['name']},nfs1"
    deploy_as(lab, hosts_of(lab, kind), hosts, dovecot_vip="", **variables)
    on(node, f"{EMPTY} && systemctl start dovecot")
    yield
    on(node, f"{EMPTY}; {UNMOUNT}")


def measure(title, clients, address, users):
    deliveries = rate(lambda client: clients.deliver(users[client], host=address), CLIENTS, SECONDS)
    sessions = [clients.connect_imap(user, host=address) for user in users]
    fetches = rate(lambda client: look(sessions[client]), CLIENTS, SECONDS)
    for session in sessions:
        session.logout()
    show(title, f"{deliveries:6.1f} deliveries a second, {fetches:6.1f} fetches")


def look(session):
    """The mailbox is opened, a message of it read whole and marked as seen, and the mailbox closed."""
    (messages,) = must(session.select("INBOX"))
    must(session.fetch(str(secrets.randbelow(int(messages)) + 1), "(FLAGS BODY[])"))
    must(session.close())


def main():
    lab = status()
    fits(lab["variant"] == "shared_storage", "the cluster with shared storage: ./lab up shared_storage")
    clients = Clients(lab)
    users = sorted(clients.passwords)[:CLIENTS]
    node = next(node for node in lab["nodes"] if node["name"] == "mail1")
    print(f"\nMail on shared storage, virtual machines (User Mode Linux) on {machine()}; {CLIENTS} clients at one backend")
    for title, (kind, variables) in WAYS.items():
        with deployed(lab, node, kind, variables):
            measure(title, clients, node["address"], users)
    deploy()


if __name__ == "__main__":
    main()
