"""What replication costs and takes in a pair: deliveries a second, lag under that load, filling an empty partner."""

from __future__ import annotations

import threading
import time

from _lab import count, deploy, deploy_as, fits, machine, on, rate, show, spread, status
from clients import Clients, must
from topologies import single_server

SENDERS = 4
SECONDS = 20
USERS, MESSAGES = 1000, 100
HASH = "{SHA512-CRYPT}$6$saltsalt$hash"
CONNECTIONS = (1, 10, 30)


def deliveries(clients, users, node):
    """Messages a second that the node takes from several senders at once."""
    return rate(lambda sender: clients.deliver(users[sender % len(users)], host=node["address"]), SENDERS, SECONDS)


def lags(clients, user, pair, end):
    """Milliseconds from append to visible on the partner, one after the other until the end."""
    found = []
    with (
        clients.imap(user, host=pair[0]["address"], folder="Lag") as writer,
        clients.imap(user, host=pair[1]["address"], folder="Lag") as reader,
    ):
        seen = count(reader)
        while not end.is_set():
            must(writer.append("Lag", None, None, b"Subject: lag\r\n\r\nx"))
            begin = time.monotonic()
            while count(reader) == seen:
                assert time.monotonic() - begin < 60, "nothing on the partner after 60 s"
                time.sleep(0.005)
            found.append((time.monotonic() - begin) * 1000)
            seen += 1
    return found


def quiet(node, seconds=600):
    """Waits until nobody waits at the node's replicator; seconds that it took."""
    begin = time.monotonic()
    while True:
        rows = on(node, "doveadm -f tab replicator status '*'").splitlines()[1:]
        if rows and all(row.split("\t")[1] == "none" and row.split("\t")[5] == "-" and row.split("\t")[4] != "-" for row in rows):
            return time.monotonic() - begin
        assert time.monotonic() - begin < seconds, "the queue does not empty"
        time.sleep(0.5)


def load(lab, clients, users, pair):
    user = users[-1]
    on(pair[1], "systemctl stop keepalived dovecot")
    deploy_as(lab, single_server(pair[0]), dovecot_vip="")
    alone = deliveries(clients, users[:-1], pair[0])
    deploy()
    with clients.imap(user, host=pair[0]["address"]) as connection:
        connection.create("Lag")
    quiet(pair[0])
    end, found = threading.Event(), []
    watcher = threading.Thread(target=lambda: found.extend(lags(clients, user, pair, end)))
    watcher.start()
    together = deliveries(clients, users[:-1], pair[0])
    end.set()
    watcher.join()
    show(f"deliveries a second to a single server, {SENDERS} senders", f"{alone:.0f}")
    show("the same to one node of a pair", f"{together:.0f}")
    show("append to visible on the partner under that load", spread(found, "ms"))
    show("until the partner has all, after the last delivery", f"{quiet(pair[0]):.1f} s")
    clean_up(clients, users, pair)


def clean_up(clients, users, pair):
    """The mailboxes as they were found: without what was delivered."""
    for name in users:
        with clients.imap(name, host=pair[0]["address"]) as connection:
            must(connection.search(None, "RETURN (SAVE)", "SUBJECT", "test"))
            must(connection.store("$", "+FLAGS.SILENT", r"\Deleted"))
            must(connection.expunge())
            connection.delete("Lag")
    quiet(pair[0])


def fill(pair):
    """Users with mail on one node, none on the other; how long until the other has all, by connections."""
    one, other = pair
    names = [f"bench{number:04}@example.org" for number in range(USERS)]
    users = [{"name": name, "password": HASH} for name in names]
    for connections in CONNECTIONS:
        deploy(dovecot_users=users, dovecot_replication_max_conns=connections)
        on(other, "systemctl stop dovecot; rm -rf /var/lib/dovecot/replicator.db /var/vmail/example.org/bench*")
        if connections == CONNECTIONS[0]:
            seed(one, names)
        forget(one)
        on(one, "doveadm replicator add 'bench*'")
        begin = time.monotonic()
        on(other, "systemctl start dovecot")
        quiet(one, 3600)
        seconds = time.monotonic() - begin
        show(f"{USERS} users of {MESSAGES} messages to an empty partner, {connections} connections", f"{seconds:.0f} s")
        found = on(other, "doveadm -f flow mailbox status -t -u 'bench*' messages '*'").splitlines()
        complete = [line for line in found if line.endswith(f"messages={MESSAGES}")]
        assert len(complete) == USERS, f"{other['name']} has all messages of {len(complete)} users only, as {found[:2]}"
    deploy()
    for node in pair:
        forget(node)
        on(node, "rm -rf /var/vmail/example.org/bench*")


def forget(node):
    on(node, "doveadm replicator status 'bench*' | grep -o '^bench[^ ]*' | xargs -r -n1 -P4 doveadm replicator remove")


def seed(node, names):
    """One user is filled by Dovecot, the others are copies on the disk, with indexes of their own."""
    message = "From: sender@example.net\\nSubject: bench\\n\\n" + 40 * (60 * "x" + "\\n")
    on(node, f"for number in $(seq {MESSAGES}); do printf '{message}' | doveadm save -u {names[0]} -m INBOX; done")
    first, *others = (name.split("@")[0] for name in names)
    on(node, f"cd /var/vmail/example.org && for name in {' '.join(others)}; do rm -rf $name; cp -a {first} $name; done")


def main():
    lab = status()
    pair = [node for node in lab["nodes"] if "dovecot_replicated" in node["groups"]]
    fits(len(lab["nodes"]) == len(pair) == 2, "the replicated pair: ./lab up replicated_pair")
    clients = Clients(lab)
    users = sorted(clients.passwords)
    print(f"\nA replicated pair, {machine()}")
    load(lab, clients, users, pair)
    fill(pair)


if __name__ == "__main__":
    main()
