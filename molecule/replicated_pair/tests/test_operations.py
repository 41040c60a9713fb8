"""The playbooks of a pair's day-2 work, and what they refuse."""

from __future__ import annotations

import re
import time

import pytest
from clients import eventually
from interruptions import at_task, interrupt
from pairs import Load, assert_nothing_lost, await_equal, await_quiet, counted
from topologies import inventory, single_server


@pytest.fixture
def pair(nodes, lab_is_whole):
    eventually(lab_is_whole, 60, "a whole pair", interval=1)
    return nodes["mail1"], nodes["mail2"]


def emptied(node):
    """As a machine that was set up again: nothing of the cluster but its name and its address."""
    node.run("systemctl stop mailcluster-dovecot-partner keepalived dovecot")
    node.run(
        "rm -rf /var/vmail/* /var/lib/dovecot/* /var/lib/mailcluster-dovecot /etc/dovecot/mailcluster.d "
        "/etc/dovecot/users.passwd /etc/keepalived/keepalived.conf /etc/systemd/system/mailcluster-dovecot-*"
    )
    node.run("systemctl daemon-reload")


def test_an_empty_node_in_the_place_of_a_dead_one_gets_its_mail_back(pair, clients, ansible, vip_holder):
    """The one whose name counts first for dsync, and that the VIP prefers."""
    dead, other = pair
    users = sorted(clients.passwords)
    for user in users:
        for _number in range(20):
            clients.deliver(user)
    before = await_equal(pair, users)
    emptied(dead)
    eventually(lambda: vip_holder().name == other.name, 20, "the VIP on the node that is left")

    with Load(clients, users) as load:
        done = ansible("fill_node.yml", "-e", f"dovecot_new_node={dead.name}")
        assert done.returncode == 0, done.stdout[-3000:]
    assert re.search(r"\d of \d users synchronised", done.stdout)

    boxes = await_equal(pair, users)
    assert_nothing_lost(load, boxes)
    for user in users:
        kept = {message[4] for message in boxes[user]["messages"]}
        assert {message[4] for message in before[user]["messages"]} <= kept, "the emptiness was replicated"
    await_quiet(pair)


@pytest.fixture
def single(pair, lab, ansible, tmp_path):
    """mail1 as this collection deploys a single server, with the mail that it had; mail2 is a bare machine."""
    node = next(node for node in lab["nodes"] if node["name"] == pair[0].name)
    hosts = inventory(lab, tmp_path / "single", single_server(node))
    emptied(pair[1])
    done = ansible("site.yml", "--inventory", hosts, "--extra-vars", "dovecot_vip=''")
    assert done.returncode == 0, done.stdout[-3000:]
    assert pair[0].host.run("systemctl is-active keepalived").stdout.strip() != "active"
    return pair[0]


def test_a_single_server_gets_its_partner_while_it_serves_however_often_that_is_interrupted(
    single, pair, clients, ansible, vip_holder
):
    users = sorted(clients.passwords)
    for user in users:
        for _number in range(20):
            clients.deliver(user, host=single.address)

    with Load(clients, users, host=single.address) as load:
        for task in ("Configure the backend", "Synchronise every user"):
            interrupt_the_filling(task)
            refused = ansible("site.yml")
            assert refused.returncode != 0, "a node that lacks mail was opened to clients"
            assert "mail2: is being filled with the mail of its partner" in re.sub(r"\s+", " ", refused.stdout)
        interrupt_the_filling("PLAY [Every node")
        done = ansible("fill_node.yml", "-e", "dovecot_new_node=mail2")
        assert done.returncode == 0, done.stdout[-3000:]

    assert max(load.outages, default=0) < 5, "the single server did not serve all the time"
    eventually(lambda: vip_holder().name == "mail1", 60, "the VIP on the preferred node")
    assert_nothing_lost(load, await_equal(pair, users))
    await_quiet(pair)


def test_what_was_filled_before_the_machine_was_emptied_again_does_not_count(single, pair, clients, ansible):
    users = sorted(clients.passwords)
    delivered = {user: clients.deliver(user, host=single.address) for user in users}
    interrupt_the_filling("users synchronised")
    await_equal(pair, users)
    pair[1].run("systemctl stop dovecot && rm -rf /var/vmail/*")
    done = ansible("fill_node.yml", "-e", "dovecot_new_node=mail2")
    assert done.returncode == 0, done.stdout[-3000:]
    boxes = await_equal(pair, users)
    assert all(delivered[user] in {message[4] for message in boxes[user]["messages"]} for user in users)
    await_quiet(pair)


def test_a_failure_on_one_node_ends_the_filling_before_clients_come_in(single, pair, clients, ansible):
    users = sorted(clients.passwords)
    pair[1].run("systemd-run --unit=squatter python3 -m http.server 12347")
    try:
        done = ansible("fill_node.yml", "-e", "dovecot_new_node=mail2")
    finally:
        pair[1].run("systemctl stop squatter")
    assert done.returncode != 0
    for later in ("Wait for the mail", "Every node"):
        assert f"PLAY [{later}" not in done.stdout, "the run went on with one node"
    clients.deliver(users[0], host=single.address)
    done = ansible("fill_node.yml", "-e", "dovecot_new_node=mail2")
    assert done.returncode == 0, done.stdout[-3000:]
    await_equal(pair, users)
    await_quiet(pair)


def interrupt_the_filling(task):
    _output, status = at_task(task, interrupt, "fill_node.yml", "-e", "dovecot_new_node=mail2")
    assert status != 0


def test_even_a_plain_deployment_of_an_empty_node_takes_no_mail_from_the_full_one(nodes, pair, clients, ansible):
    """Someone has set the machine up again and ran site.yml."""
    users = sorted(clients.passwords)
    before = await_equal(pair, users)
    emptied(nodes["mail2"])
    done = ansible("site.yml")
    assert done.returncode == 0, done.stdout[-3000:]
    boxes = await_equal(pair, users, 90)
    for user in users:
        assert {message[4] for message in before[user]["messages"]} <= {message[4] for message in boxes[user]["messages"]}


def test_a_user_who_cannot_be_synchronised_ends_the_waiting_with_his_name(pair, clients, module):
    preferred, other = pair
    user = sorted(clients.passwords)[0]
    home = other.run("doveadm user -f home %s", user).strip()
    other.run(f"mv {home} {home}.away && touch {home}")
    try:
        result = module(preferred, "await_synchronisation", patience=3)
        assert result["msg"].startswith(f"1 of {len(clients.passwords)} users of mail1 could not be synchronised")
        assert user in result["msg"] and "run again" in result["msg"]
    finally:
        other.run(f"rm {home} && mv {home}.away {home}")
    assert module(preferred, "await_synchronisation")["users"] == len(clients.passwords)
    for node in pair:
        node.run("doveadm replicator replicate %s", user)
    await_quiet(pair)


REFUSALS = {
    "a node that is alive": ("mail2", "mail2 is not dead: it runs Dovecot"),
    "a node that is not empty": ("mail2", "mail2 is not empty: there are files in /var/vmail"),
    "a node that is none": ("mail7", "dovecot_new_node: mail7 is no node of a replicated pair"),
    "no node": (None, "dovecot_new_node: (not set) is no node of a replicated pair"),
}


def files_of(node):
    """What a deployment would change, with the times of the last change."""
    return node.run("find /etc /var/lib/mailcluster-dovecot -type f -exec stat -c '%n %Y' {} + | sort")


@pytest.mark.parametrize("case", REFUSALS)
def test_filling_is_refused(case, pair, ansible):
    name, words = REFUSALS[case]
    before = [files_of(node) for node in pair]
    done = ansible("fill_node.yml", *(["-e", f"dovecot_new_node={name}"] if name else []))
    assert done.returncode != 0
    output = re.sub(r"\s+", " ", done.stdout)
    assert words in output and "nothing was changed" in output
    assert before == [files_of(node) for node in pair]


@pytest.fixture
def hidden_mail(pair):
    """mail2 without its mail, and stopped; afterwards with it again."""
    node = pair[1]
    node.run("systemctl stop dovecot && mv /var/vmail /var/vmail.kept && mkdir -m 700 /var/vmail && chown vmail: /var/vmail")
    yield node
    node.run("rmdir /var/vmail && mv /var/vmail.kept /var/vmail && systemctl start dovecot")
    await_quiet(pair)


def test_filling_the_full_node_from_the_empty_one_is_refused(hidden_mail, ansible):
    done = ansible("fill_node.yml", "-e", "dovecot_new_node=mail1")
    output = re.sub(r"\s+", " ", done.stdout)
    assert done.returncode != 0 and "is mail2 the empty one?" in output


def test_check_mode_tells_that_nothing_stands_in_the_way_and_ends(hidden_mail, pair, ansible):
    before = [files_of(node) for node in pair]
    done = ansible("fill_node.yml", "--check", "-e", "dovecot_new_node=mail2")
    assert done.returncode != 0
    assert "mail2 would now be filled with the mail of mail1" in re.sub(r"\s+", " ", done.stdout)
    assert before == [files_of(node) for node in pair]


def test_by_name_a_living_node_is_merged(pair, clients, ansible, vip_holder):
    users = sorted(clients.passwords)
    before = await_equal(pair, users)
    done = ansible("fill_node.yml", "-e", "dovecot_new_node=mail2", "-e", "dovecot_fill_anyway=mail2")
    assert done.returncode == 0, done.stdout[-3000:]
    after = await_equal(pair, users)
    assert all(counted(after[user]) == counted(before[user]) for user in users)
    eventually(lambda: vip_holder().name == "mail1", 60, "the VIP on the preferred node")
    await_quiet(pair)


def test_with_tcps_the_nodes_talk_by_tls(pair, clients, ansible, lab):
    users = sorted(clients.passwords)
    secured = [
        "-e",
        "dovecot_replication_transport=tcps",
        "-e",
        "{\"dovecot_replication_ca\": \"{{ lookup('ansible.builtin.file', '" + lab["ca_file"] + "') }}\"}",
    ]
    done = ansible("site.yml", *secured)
    try:
        assert done.returncode == 0, done.stdout[-3000:]
        for node, partner in (pair, pair[::-1]):
            greeting = node.run(f"echo | openssl s_client -connect {partner.address}:12347 2>/dev/null | grep -c 'BEGIN CERT'")
            assert greeting.strip() == "1"
        for node in pair:
            clients.deliver(users[0], host=node.address)
        await_equal(pair, users)
        await_quiet(pair)
        assert " 0 failed" in pair[0].run("/usr/local/libexec/mailcluster-dovecot/catchup --now")
        done = ansible("site.yml", *secured)
        assert done.returncode == 0 and set(re.findall(r"changed=(\d+)", done.stdout)) == {"0"}, done.stdout
    finally:
        done = ansible("site.yml")
        assert done.returncode == 0, done.stdout[-3000:]
    await_quiet(pair)


def test_maintenance_runs_on_one_node_after_the_other(pair, clients, ansible):
    user = sorted(clients.passwords)[0]
    done = ansible("maintain_mailboxes.yml", "-e", '{"dovecot_maintenance_actions": ["force_resync", "quota_recalc", "purge"]}')
    assert done.returncode == 0, done.stdout
    lines = [done.stdout.index(f"{node.name}: 4 users processed") for node in pair]
    assert lines == sorted(lines)
    assert clients.has(user, clients.deliver(user))
    await_quiet(pair)


def test_the_nightly_catch_up_tells_what_it_found(pair, clients):
    users = sorted(clients.passwords)
    one, _other = pair
    for user in users:
        one.run("doveadm replicator remove %s", user)
        one.run(
            "printf 'Subject: missed\\nMessage-ID: <missed.%s>\\n\\nx\\n' | doveadm -o mail_plugins=quota save -u %s -m INBOX",
            user,
            user,
        )
    for node in pair:
        node.run("/usr/local/libexec/mailcluster-dovecot/catchup --now | systemd-cat -t catchup-test")
    told = [node.run("journalctl -t catchup-test -n 20 -o cat") for node in pair]
    assert all(f"repaired: {user}" in "".join(told) for user in users)
    found = [re.search(r"(\d+) users synchronised, (\d+) failed, (\d+) repaired", text).groups() for text in told]
    assert sum(int(numbers[2]) for numbers in found) == len(users)
    assert all(numbers[1] == "0" for numbers in found)
    one.run("doveadm replicator add '*'")
    await_equal(pair, users)
    time.sleep(1)
    for node in pair:
        assert " 0 repaired" in node.run("/usr/local/libexec/mailcluster-dovecot/catchup --now")


def test_a_secret_is_changed_on_both_nodes_or_on_none(pair, clients, ansible):
    new = ("-e", "dovecot_doveadm_password=another-secret-of-this-pair")
    before = [deployed_secret(node) for node in pair]
    refused = ansible("site.yml", *new, "--limit", pair[0].name)
    assert refused.returncode != 0
    assert "is not the one that is deployed on mail1, and mail2 would keep" in re.sub(r"\s+", " ", refused.stdout)
    assert [deployed_secret(node) for node in pair] == before
    for given in (new, ()):
        done = ansible("site.yml", *given)
        assert done.returncode == 0, done.stdout[-3000:]
        assert len({deployed_secret(node) for node in pair}) == 1
        user = sorted(clients.passwords)[0]
        clients.deliver(user)
        await_equal(pair, [user])
    assert [deployed_secret(node) for node in pair] == before


def deployed_secret(node):
    return node.run("cat /etc/dovecot/mailcluster.d/11-secrets.conf")
