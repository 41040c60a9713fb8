"""Every module that changes something: in check mode, for real, and once more, on a real ring and a real pair.

Check mode announces what happens then, and does nothing; the second run changes nothing.
"""

from __future__ import annotations

import pytest
from clients import eventually, must

A1, A2, B1, B2 = "198.51.100.31", "198.51.100.32", "198.51.100.41", "198.51.100.42"
ALICE = "alice@example.org"


@pytest.fixture(scope="module", autouse=True)
def nobody_else_tells_the_ring(nodes):
    """The directors' monitor would take out a backend that does not answer, such as one made up here."""
    for node in nodes.of("dovecot_directors"):
        node.run("systemctl stop mailcluster-dovecot-monitor")
    yield
    for node in nodes.of("dovecot_directors"):
        node.run("systemctl start mailcluster-dovecot-monitor")


@pytest.fixture
def director(nodes):
    """The director that the tests ask; afterwards the ring is as the inventory declares it, with nobody assigned."""
    node = nodes["director1"]
    yield node
    for tag, hosts in (("a", (A1, A2)), ("b", (B1, B2))):
        for host in hosts:
            if node.host.run("doveadm director add %s@%s 100", host, tag).rc != 0:
                node.run("doveadm director remove %s", host)
                node.run("doveadm director add %s@%s 100", host, tag)
            node.run("doveadm director up %s", host)
    node.run("doveadm director flush -F all")


@pytest.fixture
def three_runs(module):
    """A function: check mode, for real, once more; C(read) tells independently what must and must not have changed."""

    def run(node, name, read, **params):
        before = read()
        announced = module(node, name, check=True, **params)
        assert announced.get("changed") is True, announced
        assert read() == before, "check mode changed something"

        done = module(node, name, **params)
        assert done.get("changed") is True, done
        after = read()
        assert after != before, "nothing has changed"
        assert done.get("commands") == announced.get("commands"), "check mode announced something else"

        again = module(node, name, **params)
        assert again.get("changed") is False, again
        assert read() == after, "the second run changed something"
        return done, after

    return run


def backends(node):
    return {row["mail server ip"]: (row["tag"], row["vhosts"], row["state"]) for row in node.doveadm("director", "status")}


def place(node, user, tag):
    return node.doveadm("director", "status", user, tag)[0]["status"]


def test_director_backends_converges_a_list_in_one_call(director, nodes, three_runs):
    declared = [
        {"host": A1, "tag": "a", "weight": 70},
        {"host": A2, "tag": "a", "state": "down"},
        {"host": B1, "tag": "b"},
        {"host": "2001:db8::42", "tag": "b", "weight": 1},
    ]
    _done, after = three_runs(director, "director_backends", lambda: backends(director), backends=declared, exclusive=True)
    assert after == {A1: ("a", "70", "up"), A2: ("a", "100", "down"), B1: ("b", "100", "up"), "2001:db8::42": ("b", "1", "up")}
    assert backends(nodes["director3"]) == after, "the other directors have another list"
    director.run("doveadm director remove %s", "2001:db8::42")


def test_director_backends_keeps_what_an_operator_drained_unless_told(director, module, three_runs):
    director.run("doveadm director update %s 0", A1)
    director.run("doveadm director down %s", B1)
    declared = [{"host": host, "tag": tag} for host, tag in ((A1, "a"), (A2, "a"), (B1, "b"), (B2, "b"))]
    kept = module(director, "director_backends", backends=declared, exclusive=True)
    assert (kept["changed"], kept["kept"]) == (False, [A1, B1])
    _done, after = three_runs(director, "director_backends", lambda: backends(director), backends=declared, restore=True)
    assert set(after.values()) == {("a", "100", "up"), ("b", "100", "up")}


def test_a_ring_that_was_read_can_be_restored(director, module, three_runs):
    director.run("doveadm director update %s 40", A1)
    director.run("doveadm director down %s", B2)
    remembered = module(director, "director_info")
    assert [(item["host"], item["what"]) for item in remembered["drift"]] == [(A1, "weight"), (B2, "state")]
    before = backends(director)
    director.run("doveadm director remove %s", B2)
    director.run("doveadm director update %s 100", A1)
    _done, after = three_runs(
        director, "director_backends", lambda: backends(director), backends=remembered["declared"], exclusive=True, restore=True
    )
    assert after == before


@pytest.mark.parametrize(
    "params, expected",
    [
        ({"weight": 50}, ("a", "50", "up")),
        ({"state": "down"}, ("a", "100", "down")),
        ({"state": "drained", "drain_timeout": 5}, ("a", "0", "up")),
        ({"state": "absent"}, None),
        ({"tag": "b"}, ("b", "100", "up")),
    ],
)
def test_director_backend(params, expected, director, three_runs):
    _done, after = three_runs(director, "director_backend", lambda: backends(director), host=A1, **params)
    assert after.get(A1) == expected


def test_director_backend_moves_users_off_a_backend(director, three_runs):
    director.run("doveadm director move %s %s", ALICE, A1)
    three_runs(
        director,
        "director_backend",
        lambda: (backends(director), place(director, ALICE, "a")),
        host=A1,
        state="drained",
        drain_timeout=0,
        flush="kick",
    )
    assert place(director, ALICE, "a") == A2


def test_director_user(director, nodes, three_runs):
    director.run("doveadm director move %s %s", ALICE, A1)
    done, _after = three_runs(director, "director_user", lambda: place(director, ALICE, "a"), user=ALICE, backend=A2)
    assert done["backend"] == A2
    assert place(nodes["director2"], ALICE, "a") == A2


def test_a_lookup_assigns_nobody(director, module):
    """doveadm's own lookup of the password database would."""
    module(director, "director_user", user=ALICE)
    assert place(director, ALICE, "a") == "n/a"


@pytest.mark.parametrize("name", ["$HOME", "~root", "12345", "-a", "a b", 'zoë "o\'z"'])
def test_a_name_reaches_the_director_as_it_is(name, director, module):
    """No shell, no expansion, no option, no hash."""
    result = module(director, "director_user", user=name, tag="a", backend=A2)
    assert result["backend"] == A2
    expected = director.doveadm("director", "map", "-u", "--", name)[0]["hash"]
    assert [row["hash"] for row in director.doveadm("director", "map")] == [expected]


def test_director_info_tells_who_is_where(director, module):
    director.run("doveadm director move %s %s", ALICE, A2)
    result = module(director, "director_info", map=True)
    assert result["map"] == {A2: [ALICE]}
    assert result["ring"]["synced"] and len(result["ring"]["directors"]) == 3
    assert result["drift"] == []


def known(node):
    return {row["username"] for row in node.doveadm("replicator", "status", "*")}


def test_replicator_user_absent_and_present(nodes, three_runs):
    node = nodes["a1"]
    done, _after = three_runs(node, "replicator_user", lambda: known(node), user=ALICE, state="absent")
    assert done["returns"] == [ALICE], "without noreplicate in the user database a user comes back"
    three_runs(node, "replicator_user", lambda: known(node), user="*")
    assert ALICE in known(node)


def test_replicator_user_makes_a_full_pass(nodes, module):
    node = nodes["a1"]
    params = {"user": ALICE, "state": "synchronised", "full": True, "wait": True, "max_age": 30}
    node.run("doveadm replicator remove %s", ALICE)
    module(node, "replicator_user", user=ALICE, wait=True)
    assert module(node, "replicator_user", **params)["changed"] is False, "the user who was just added had a full pass"
    old = dict(params, max_age=0)
    assert module(node, "replicator_user", check=True, **old)["changed"] is True
    done = module(node, "replicator_user", **old)
    assert done["changed"] is True and done["users"][ALICE]["full_sync_age"] <= 3
    assert module(node, "replicator_user", **params)["changed"] is False


def test_replicator_info_tells_the_queue(nodes, module, users):
    result = module(nodes["a1"], "replicator_info", users="*")
    assert result["summary"]["known_users"] == len(users["a"])
    assert sorted(result["users"]) == sorted(users["a"])
    assert result["failed_users"] == []


def test_mailbox_maintenance_purges_this_node_only(nodes, clients, users, three_runs, replicated):
    one, other = nodes.pair_of("a")
    user = users["a"][2]
    other.run("doveadm purge -u %s", user)
    message_id = clients.deliver(user, host=one.address)
    replicated(user, "a", message_id)
    with clients.imap(user, host=one.address) as connection:
        must(connection.store("1:*", "+FLAGS", r"\Deleted"))
        must(connection.expunge())

    def unpurged(node):
        index = f"/var/vmail/example.org/{user.split('@')[0]}/mdbox/storage/dovecot.map.index"
        return node.host.run("doveadm dump -t index %s", index).stdout.count(": " + " " * 9 + "0 (")

    _done, after = three_runs(one, "mailbox_maintenance", lambda: unpurged(one), actions=["purge"], users=[user])
    assert after == 0
    eventually(lambda: unpurged(other) > 0, what="a message to purge on the partner, which purges its own")


def test_mailbox_maintenance_of_whole_mailboxes_changes_nothing(nodes, module, users):
    for _run in range(2):
        result = module(nodes["a1"], "mailbox_maintenance", actions=["force_resync", "quota_recalc", "purge"], users=["[ac]*"])
        assert result["failed_users"] == {}
    assert result["changed"] is False


def test_user_info_lists_the_users(nodes, module, users):
    assert sorted(module(nodes["a1"], "user_info")["users"]) == sorted(users["a"])
    everybody = module(nodes["director1"], "user_info", expected=["nobody@example.org"])
    assert sorted(everybody["users"]) == sorted(users["a"] + users["b"])
    assert everybody["missing"] == ["nobody@example.org"]
