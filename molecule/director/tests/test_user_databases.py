"""Users in a directory, behind directors: it says the partition, which the directors take as their tag."""

from __future__ import annotations

import pytest
from clients import eventually
from partitions import answers_of, holders

HOMES = {"yves@example.org": ["a1", "a2"], "zoe@example.org": ["b1", "b2"], "alice@example.org": ["a1", "a2"]}


@pytest.mark.parametrize("user", HOMES)
@pytest.mark.parametrize("entry", ["director1", "director3"])
def test_mail_is_on_both_nodes_of_the_user_s_partition_alone(entry, user, clients, nodes):
    message_id = clients.deliver(user, host=nodes[entry].address)
    assert clients.has(user, message_id, host=nodes[entry].address)
    eventually(lambda: holders(nodes, user, message_id) == HOMES[user], what=f"the message on {HOMES[user]}")


def test_directors_list_everybody_and_a_backend_those_of_its_partition(nodes, users):
    assert sorted(nodes["director2"].run("doveadm user '*'").split()) == sorted(users["a"] + users["b"])
    assert sorted(nodes["b2"].run("doveadm user '*'").split()) == sorted(users["b"])


def test_while_the_directory_is_down_its_users_get_a_temporary_failure_and_others_their_mail(clients, nodes):
    directory, director = nodes["ldap1"], nodes["director1"]
    directory.run("systemctl stop slapd")
    try:
        for node in nodes.of("dovecot_cluster"):
            node.run("doveadm auth cache flush")
        codes = answers_of(clients, director.address, *HOMES, "nobody@example.org")
        assert codes.pop("alice@example.org") == 250
        assert all(400 <= code < 500 for code in codes.values()), codes
    finally:
        directory.run("systemctl start slapd")
    user = "zoe@example.org"
    message_id = eventually(lambda: clients.deliver(user, host=director.address), 30, "a delivery after the directory is up")
    assert clients.has(user, message_id, host=director.address)
