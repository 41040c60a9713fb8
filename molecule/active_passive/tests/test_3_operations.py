"""Day-2 work: the playbooks, as an administrator runs them."""

from __future__ import annotations

from clients import eventually


def test_a_node_is_taken_out_of_service_and_put_back(pair, ansible):
    passive = pair.other(pair.await_whole())
    done = ansible("maintain_node.yml", "-e", f"dovecot_node={passive.name} dovecot_node_state=standby")
    assert done.returncode == 0, done.stdout[-3000:]
    refused = ansible("switch_over.yml")
    assert refused.returncode != 0
    assert f"{passive.name} is on standby" in refused.stdout
    done = ansible("maintain_node.yml", "-e", f"dovecot_node={passive.name} dovecot_node_state=online")
    assert done.returncode == 0, done.stdout[-3000:]
    pair.is_whole()


def test_a_setting_is_deployed_without_that_the_service_moves(pair, ansible):
    active = pair.await_whole()
    for value in (77, None):
        words = ["-e", f'{{"dovecot_settings": {{"mail_max_userip_connections": {value}}}}}'] if value else []
        done = ansible("site.yml", *words)
        assert done.returncode == 0, done.stdout[-3000:]
        for node in pair.nodes:
            assert ("= 77" in node.run("doveconf mail_max_userip_connections")) == bool(value)
    assert pair.active() is active


def test_one_node_is_deployed_alone(pair, ansible):
    active = pair.await_whole()
    done = ansible("site.yml", "--limit", active.name)
    assert done.returncode == 0, done.stdout[-3000:]


def standby(node, value):
    node.run("crm_attribute --node %s --name standby --update %s --lifetime forever", node.name, value)
    # What follows from that has ended, so nobody else uses DRBD there now.
    node.run("crm_resource --wait")


def write_alone(node):
    """What a node does that believes to be the only one: here without the fencing, which keeps it from that."""
    node.run(
        "drbdadm up mail && drbdadm disconnect mail && drbdsetup disk-options 0 --fencing=dont-care"
        " && drbdadm primary --force mail && mount /dev/drbd0 /mnt && echo alone >/mnt/alone && umount /mnt"
        " && drbdadm secondary mail && drbdadm down mail"
    )


def test_a_split_brain_is_shown_and_one_side_given_up_by_name(pair, ansible, clients):
    active = pair.await_whole()
    passive, user = pair.other(active), sorted(clients.passwords)[0]
    words = ("-e", f"dovecot_give_up={passive.name}")
    refused = ansible("resolve_split_brain.yml", *words)
    assert refused.returncode != 0 and "There is no split brain" in refused.stdout

    standby(passive, "on")
    eventually(lambda: "cs:" not in passive.run("cat /proc/drbd"), 60, "a node without DRBD")
    write_alone(passive)
    delivered = clients.deliver(user)
    standby(passive, "off")
    eventually(lambda: "StandAlone" in active.run("cat /proc/drbd") + passive.run("cat /proc/drbd"), 60, "a split brain")

    shown = ansible("resolve_split_brain.yml")
    output = " ".join(shown.stdout.split())
    assert shown.returncode != 0
    assert f"{active.name}: serves clients, DRBD is" in output and "it could write since" in output
    assert f"{passive.name}: does not serve, DRBD is" in output and "it could write from" in output
    refused = ansible("resolve_split_brain.yml", "-e", f"dovecot_give_up={active.name}")
    assert refused.returncode != 0 and f"{active.name} serves clients" in " ".join(refused.stdout.split())

    done = ansible("resolve_split_brain.yml", *words)
    assert done.returncode == 0, done.stdout[-3000:]
    assert pair.is_whole() is active
    assert passive.run("cat /var/lib/mailcluster-dovecot/split-brain/*/alone") == "alone"
    assert clients.has(user, delivered)
