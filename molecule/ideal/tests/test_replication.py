"""Both nodes of a pair hold the same, whichever of them a change was made on."""

from __future__ import annotations

import re
import uuid

import pytest
from clients import eventually, must


def mailbox_of(clients, user, node):
    """Folder -> (UIDVALIDITY, UID -> flags), as IMAP on that node tells it."""
    found = {}
    with clients.imap(user, host=node.address, folder=None) as connection:
        for line in must(connection.list()):
            folder = re.search(rb'"/" "?(.+?)"?$', line).group(1).decode()
            must(connection.select(f'"{folder}"', readonly=True))
            validity = connection.response("UIDVALIDITY")[1][0]
            flags = {}
            for item in must(connection.uid("FETCH", "1:*", "(FLAGS)")):
                if item:
                    uid = int(re.search(rb"UID (\d+)", item).group(1))
                    names = re.search(rb"FLAGS \(([^)]*)\)", item).group(1).decode().split()
                    flags[uid] = sorted(set(names) - {r"\Recent"})
            found[folder] = (validity, flags)
    return found


@pytest.mark.parametrize("changed", [0, 1])
def test_a_change_on_either_node_reaches_the_other(changed, clients, users, nodes):
    user = users["a"][0]
    pair = nodes.pair_of("a")
    folder = f"Work {uuid.uuid4()}"
    with clients.imap(user, host=pair[changed].address) as connection:
        for number in range(3):
            must(
                connection.append(
                    "INBOX",
                    r"(\Seen)" if number else None,
                    None,
                    f"Subject: {number}\r\nMessage-ID: <{number}.{changed}@example.net>\r\n\r\nx".encode(),
                )
            )
        must(connection.select("INBOX"))
        must(connection.create(f'"{folder}"'))
        newest = must(connection.search(None, "ALL"))[0].split()[-3:]
        must(connection.copy(newest[0], f'"{folder}"'))
        must(connection.store(newest[1], "+FLAGS", r"(\Flagged \Answered)"))
        must(connection.store(newest[2], "+FLAGS", r"\Deleted"))
        must(connection.expunge())

    def equal():
        one, other = (mailbox_of(clients, user, node) for node in pair)
        assert folder in one and folder in other
        assert one == other
        return one

    mailbox = eventually(equal, what=f"equal mailboxes of {user} on {pair[0].name} and {pair[1].name}")

    assert len(mailbox[folder][1]) == 1
    assert [r"\Answered", r"\Flagged", r"\Seen"] in mailbox["INBOX"][1].values()


def test_changes_on_both_nodes_at_once_are_merged(clients, users, nodes):
    user = users["b"][0]
    pair = nodes.pair_of("b")
    connections = [clients.connect_imap(user, host=node.address) for node in pair]
    for number in range(10):
        for side, connection in enumerate(connections):
            must(connection.append("INBOX", None, None, f"Subject: {side}.{number}\r\n\r\nx".encode()))
    for connection in connections:
        connection.logout()

    def equal():
        one, other = (mailbox_of(clients, user, node) for node in pair)
        # before they are merged each has ten, with the same numbers
        assert one == other and len(one["INBOX"][1]) >= 20
        return True

    eventually(equal, what=f"equal and complete mailboxes of {user}")


def test_every_user_of_the_partition_is_known_and_none_has_failed(nodes, users):
    for partition, names in users.items():
        for node in nodes.pair_of(partition):
            rows = node.doveadm("replicator", "status", "*")
            assert {row["username"] for row in rows} >= set(names), f"{node.name} does not replicate all users"
            assert [row["username"] for row in rows if row["failed"] == "y"] == [], f"failed on {node.name}"


def test_the_nightly_catch_up_repairs_what_events_missed(nodes, users, clients):
    """A message that arrived while nothing was listening to events is on the partner after the full pass."""
    user = users["a"][1]
    one, other = nodes.pair_of("a")
    one.run("doveadm replicator remove %s", user)
    message_id = f"{uuid.uuid4()}@example.net"
    one.run(
        "printf 'Subject: missed\\nMessage-ID: <%s>\\n\\nx\\n' | doveadm -o mail_plugins=quota save -u %s -m INBOX",
        message_id,
        user,
    )
    search = ("doveadm search -u %s mailbox INBOX header message-id %s", user, message_id)
    assert one.run(*search) and not other.run(*search)

    for node in (one, other):
        node.run("/usr/local/libexec/mailcluster-dovecot/catchup --now")

    assert other.run(*search)
    one.run("doveadm replicator add %s", user)


def test_timers_are_waiting(nodes):
    for node in nodes.of("dovecot_backends"):
        listed = node.run("systemctl list-timers --no-pager --all")
        assert "mailcluster-dovecot-purge.timer" in listed
        assert "mailcluster-dovecot-catchup.timer" in listed


def test_the_services_behind_the_timers_succeed(nodes):
    for node in nodes.of("dovecot_backends"):
        node.run("systemctl start mailcluster-dovecot-purge.service")
    first = nodes.of("dovecot_backends")[0]
    # the night's pace is four hours; the script is the one of the timer
    first.run("/usr/local/libexec/mailcluster-dovecot/catchup --now")
