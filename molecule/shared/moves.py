"""A user is moved to another backend while mail comes in and clients read: what must hold then."""

from __future__ import annotations

import re
import time
from collections import Counter
from contextlib import suppress

from clients import eventually
from interruptions import at_task
from pairs import Load, mailboxes_of


def counted_at(node, user):
    """How often each Message-ID is in the user's mailbox on a node."""
    return Counter(message[4].strip("<>") for message in mailboxes_of(node, [user])[user]["messages"])


def move(ansible, user, partition, *more):
    return ansible("move_user.yml", "-e", f"dovecot_move_user={user}", "-e", f"dovecot_move_to={partition}", *more)


def assert_moved(clients, nodes, ansible, user, home, partition, entry, more=()):
    """Moves the user under load; nothing is lost or doubled, and the new home alone is asked afterwards.

    How long users wait is how long the playbook takes: for tests that are first.
    """
    target = f"{partition}1"
    before = [clients.deliver(user, host=entry).strip("<>") for _number in range(20)]
    with clients.imap(user, host=entry) as session, Load(clients, [user], host=entry, pause=0.05) as load:
        time.sleep(1)
        done = move(ansible, user, partition, *more)
        assert done.returncode == 0, done.stdout[-3000:]
        time.sleep(2)
        with suppress(OSError, session.error):
            session.noop()
            assert session.state != "SELECTED", "a session goes on at the old home"
    print(f"longest time without service: {max(load.outages, default=0):.1f} s")
    assert max(load.outages, default=0) < 20, "held for too long"
    assert not [text for text in load.refused if re.search(r"\b5\d\d\b", text)], "a mail server would have sent a bounce"
    eventually(lambda: user in nodes[target].run("doveadm user '*'").split(), what=f"{target} lists {user}")
    found = counted_at(nodes[target], user)
    lost = [name for name in before + load.all_of(user) if not found[name]]
    assert not lost, f"{len(lost)} of {len(before) + len(load.all_of(user))} messages are lost, as {lost[:3]}"
    doubled = [name for name in before + load.all_of(user) if found[name] > 1 and name not in load.retried]
    assert not doubled, f"{len(doubled)} messages are doubled, as {doubled[:3]}"
    assert user not in nodes[home].run("doveadm user '*'").split()
    local, domain = user.split("@")
    assert nodes[home].run(f"ls -d /var/vmail/{domain}/{local}.moved-*"), "the old copy is gone"
    assert not nodes[home].host.file(f"/var/vmail/{domain}/{local}").exists


def move_until(task, act, user, partition):
    """Moves the user, and calls a function in the midst of it: what was printed, and the exit status."""
    return at_task(task, act, "move_user.yml", "-e", f"dovecot_move_user={user}", "-e", f"dovecot_move_to={partition}")
