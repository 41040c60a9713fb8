"""A partner that is away, full, or new to the users: what it missed is there afterwards, without anyone's help."""

from __future__ import annotations

import json
import re
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from clients import eventually
from pairs import Load, assert_nothing_lost, await_equal, await_quiet

AWAY = 30  # seconds
# How far each user is synchronised, as the replicator writes it down when it ends, and every quarter of an hour.
MEMORY = "/var/lib/dovecot/replicator.db"
HASH = "{SHA512-CRYPT}$6$saltsalt$" + 86 * "x"


@pytest.fixture
def pair(nodes, lab_is_whole):
    eventually(lab_is_whole, 60, "a whole pair", interval=1)
    return nodes["mail1"], nodes["mail2"]


def test_a_node_that_was_down_under_load_catches_up_by_itself(pair, clients, lab_node):
    """The preferred node: see test_service_address.py."""
    users = sorted(clients.passwords)
    other, node = pair
    with Load(clients, users, host=other.address, pause=0.05) as load:
        lab_node.kill(node)
        time.sleep(AWAY)
        lab_node.start(node)
        began = time.monotonic()
        time.sleep(5)
    boxes = await_equal(pair, users, 60)
    print(f"equal {time.monotonic() - began:.0f} s after {node.name} was up")
    assert_nothing_lost(load, boxes)
    await_quiet(pair)


def test_after_a_crash_the_replicator_does_not_go_on_from_what_is_out_of_date(pair):
    """It would pass over flags, and have expunged mail come back."""
    node = pair[1]
    node.run("systemctl stop dovecot")
    written = node.run(f"stat --format=%i {MEMORY}")
    node.run("systemctl start dovecot")
    assert node.run(f"stat --format=%i {MEMORY}") == written, "what was written at a clean end is gone"
    main = "systemctl show --property MainPID --value dovecot"
    crashed = node.run(main).strip()
    node.run("kill -KILL %s", crashed)
    eventually(lambda: node.run(main).strip() not in ("0", crashed), 20, "a new Dovecot")
    eventually(lambda: node.run("systemctl is-active dovecot"), 20, "an active Dovecot")
    assert node.host.run(f"test -e {MEMORY}").rc != 0, "what was written before the crash is still there"
    await_quiet(pair)


def test_a_full_disk_refuses_for_a_while_and_loses_nothing(pair, clients):
    one, other = pair
    users = sorted(clients.passwords)
    one.run("systemctl stop dovecot")
    one.run(
        "cp -a /var/vmail /var/vmail.kept && mount -t tmpfs -o size=24m,mode=700,uid=5000,gid=5000 tmpfs /var/vmail && "
        "cp -a /var/vmail.kept/. /var/vmail/ && systemctl start dovecot"
    )
    try:
        one.run("dd if=/dev/zero of=/var/vmail/ballast bs=64k count=1024 2>/dev/null || true")
        with Load(clients, users, host=one.address, pause=0.1) as refused:
            eventually(lambda: refused.refused, 30, "a refusal by the node whose disk is full")
            message_id = clients.deliver(users[0], host=other.address)
            time.sleep(3)
            one.run("rm /var/vmail/ballast")
            eventually(lambda: any(refused.delivered.values()), 30, "a delivery once there is space again")
        codes = {match.group(1) for text in refused.refused if (match := re.match(r"SMTP\w+\(.*?(\d{3}),", text))}
        assert codes and all(code.startswith("4") for code in codes), f"no temporary failure: {refused.refused[:3]}"
        boxes = await_equal(pair, users, 90)
        assert_nothing_lost(refused, boxes)
        assert any(message_id == message[4] for message in boxes[users[0]]["messages"])
        await_quiet(pair)
    finally:
        one.run(
            "systemctl stop dovecot && cp -a /var/vmail/. /var/vmail.kept/ && umount /var/vmail && "
            "cp -a /var/vmail.kept/. /var/vmail/ && rm -rf /var/vmail.kept && systemctl start dovecot"
        )
    await_quiet(pair)


@pytest.fixture(scope="module")
def new_users(ansible, lab, tmp_path_factory, nodes):
    """A hundred for one test, and forty for another: nobody has had a look at their mailboxes."""
    names = [f"new{number:03}@example.org" for number in range(140)]
    listed = [{"name": name, "password": HASH} for name in [*(user["name"] for user in lab["users"]), *names]]
    extra = tmp_path_factory.mktemp("new") / "users.json"
    extra.write_text(json.dumps({"dovecot_users": listed}))
    done = ansible("site.yml", "--extra-vars", f"@{extra}")
    assert done.returncode == 0, done.stdout
    yield names[:100], names[100:]
    done = ansible("site.yml")
    assert done.returncode == 0, done.stdout
    for node in nodes.values():
        node.run("doveadm replicator status 'new*' | grep -o '^new[^ ]*' | xargs -r -n1 doveadm replicator remove")
        node.run("rm -rf /var/vmail/example.org/new*")


def test_a_hundred_users_who_are_new_on_both_nodes_in_the_same_second(new_users, pair, clients):
    names, _others = new_users
    with ThreadPoolExecutor(16) as pool:
        list(
            pool.map(
                lambda job: clients.deliver(job[0], host=job[1].address, message_id=f"{job[1].name}.{job[0]}"),
                [(name, node) for name in names for node in pair],
            )
        )
    boxes = await_equal(pair, names, 120)
    for name in names:
        found = sorted(message[4].strip("<>") for message in boxes[name]["messages"])
        assert found == sorted(f"{node.name}.{name}" for node in pair), f"{name} has {found}"
    await_quiet(pair)


def test_a_user_who_opens_the_mailbox_on_both_nodes_at_once(new_users, pair, clients):
    """Logging in creates the folders, on each node by itself."""
    _others, names = new_users

    def fill(job):
        name, node = job
        node.run("doveadm mailbox status -u %s messages '*'", name)
        clients.deliver(name, host=node.address)

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(fill, [(name, node) for name in names for node in pair]))
    await_equal(pair, names, 120)
    await_quiet(pair)
