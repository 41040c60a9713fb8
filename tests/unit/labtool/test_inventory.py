"""What the lab reads out of an inventory, and which inventories it refuses."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest

from labtool import inventory
from labtool.system import LabError

LISTING = {
    "_meta": {
        "hostvars": {
            "lb1": {"ansible_host": "198.51.100.11", "dovecot_vip": "198.51.100.10/24"},
            "a2": {"ansible_host": "198.51.100.32", "dovecot_vip": "198.51.100.10/24", "dovecot_partition": "a"},
            "a1": {
                "ansible_host": "198.51.100.31",
                "dovecot_vip": "198.51.100.10/24",
                "dovecot_partition": "a",
                "dovecot_users": [{"name": "alice@example.org", "partition": "a", "password": "{{ never read }}"}],
            },
        }
    },
    "all": {"children": ["ungrouped", "dovecot_cluster"]},
    "dovecot_cluster": {"children": ["dovecot_backends", "dovecot_loadbalancers", "dovecot_replicated"]},
    "dovecot_loadbalancers": {"hosts": ["lb1"]},
    "dovecot_backends": {"children": ["partition_a"]},
    "dovecot_replicated": {"children": ["partition_a"]},
    "partition_a": {"hosts": ["a1", "a2"]},
}


@pytest.fixture
def listing():
    return copy.deepcopy(LISTING)


def parse(listing):
    return inventory.parse("test", Path("inventories/test/hosts.yml"), listing)


def test_what_is_served_is_all_or_what_the_inventory_says(listing):
    assert parse(listing).protocols == ("imap", "pop3", "lmtp", "sieve")
    listing["_meta"]["hostvars"]["a1"]["dovecot_protocols"] = ["imap", "lmtp"]
    assert parse(listing).protocols == ("imap", "lmtp")


def test_nodes_come_in_the_order_that_mail_goes(listing):
    assert [node.name for node in parse(listing).nodes] == ["lb1", "a1", "a2"]


def test_groups_include_those_above_but_not_the_implied_ones(listing):
    node = next(node for node in parse(listing).nodes if node.name == "a1")
    assert node.groups == ("dovecot_backends", "dovecot_cluster", "dovecot_replicated", "partition_a")
    assert (node.partition, node.kind) == ("a", "container")


def test_a_host_may_ask_for_a_virtual_machine(listing):
    listing["_meta"]["hostvars"]["a1"]["lab_node"] = "vm"
    cluster = parse(listing)
    assert [node.name for node in cluster.of_kind("vm")] == ["a1"]
    assert [node.name for node in cluster.of_kind("container")] == ["lb1", "a2"]


def test_network_and_vip(listing):
    cluster = parse(listing)
    assert (str(cluster.network), cluster.vip, cluster.gateway, cluster.entry) == (
        "198.51.100.0/24",
        "198.51.100.10",
        "198.51.100.1",
        "198.51.100.10",
    )


def test_without_a_vip_clients_enter_at_the_first_backend(listing):
    for values in listing["_meta"]["hostvars"].values():
        values.pop("dovecot_vip")
        values["lab_network"] = "198.51.100.0/24"
    cluster = parse(listing)
    assert (cluster.vip, cluster.entry) == (None, "198.51.100.31")


def test_users(listing):
    assert parse(listing).users == (inventory.User("alice@example.org", "a"),)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"ansible_host": "a1.example.org"}, ["a1", "ansible_host", "a1.example.org"]),
        ({"ansible_host": None}, ["a1", "ansible_host"]),
        ({"ansible_host": "198.51.100.32"}, ["a1", "a2", "198.51.100.32"]),
        ({"ansible_host": "192.0.2.31"}, ["a1", "192.0.2.31", "198.51.100.0/24"]),
        ({"ansible_host": "198.51.100.1"}, ["a1", "198.51.100.1"]),
        ({"lab_node": "zone"}, ["a1", "zone", "container", "vm"]),
        ({"dovecot_users": "{{ from_elsewhere }}"}, ["dovecot_users"]),
    ],
)
def test_refusals_name_host_variable_and_value(listing, change, words):
    listing["_meta"]["hostvars"]["a1"].update(change)
    with pytest.raises(LabError) as caught:
        parse(listing)
    assert all(word in str(caught.value) for word in words)


@pytest.mark.parametrize("vip", [None, "198.51.100.10", "nonsense/24"])
def test_the_network_must_be_known(listing, vip):
    for values in listing["_meta"]["hostvars"].values():
        values["dovecot_vip"] = vip
    with pytest.raises(LabError, match="dovecot_vip"):
        parse(listing)


def test_an_empty_inventory_is_refused():
    with pytest.raises(LabError, match="no hosts"):
        parse({"_meta": {"hostvars": {}}, "all": {}})


def test_the_users_of_a_directory_are_known_beside_those_of_the_inventory(listing):
    listing["_meta"]["hostvars"]["lb1"]["lab_users"] = [{"name": "erin@example.org", "partition": "c"}]
    assert [(user.name, user.partition) for user in parse(listing).users] == [
        ("alice@example.org", "a"),
        ("erin@example.org", "c"),
    ]


def machines(listing, **ports):
    for host, port in ports.items():
        listing["_meta"]["hostvars"][host] |= {"lab_node": "vm", "lab_bmc": port}
    return listing


def test_a_machine_may_have_a_bmc(listing):
    assert {node.name: node.bmc for node in parse(machines(listing, a1=6231)).nodes} == {"lb1": None, "a1": 6231, "a2": None}


@pytest.mark.parametrize("port", ["6231", 0, 65536, True, -1, [6231]])
def test_a_bmc_is_at_a_port(listing, port):
    with pytest.raises(LabError, match="a1 has lab_bmc"):
        parse(machines(listing, a1=port))


def test_a_bmc_has_a_port_of_its_own(listing):
    with pytest.raises(LabError, match="a1 and a2 have the same lab_bmc 6231"):
        parse(machines(listing, a1=6231, a2=6231))


@pytest.mark.parametrize(
    ("values", "words"),
    [({"lab_watchdog": "yes"}, "It is true or false"), ({"lab_watchdog": True, "lab_node": "container"}, "is a container")],
)
def test_a_watchdog_is_a_machine_s(listing, values, words):
    listing["_meta"]["hostvars"]["a1"] |= {"lab_node": "vm"} | values
    with pytest.raises(LabError, match=words):
        parse(listing)


def test_a_machine_may_have_a_watchdog(listing):
    listing["_meta"]["hostvars"]["a1"] |= {"lab_node": "vm", "lab_watchdog": True}
    assert [node.name for node in parse(listing).nodes if node.watchdog] == ["a1"]


def test_a_container_has_no_bmc(listing):
    listing["_meta"]["hostvars"]["a1"]["lab_bmc"] = 6231
    with pytest.raises(LabError, match="a1.*lab_node: vm"):
        parse(listing)


@pytest.mark.parametrize(
    ("group", "holders"),
    [(None, ["a1", "a2"]), ("dovecot_loadbalancers", ["lb1"]), ("dovecot_proxies", []), ("dovecot_directors", [])],
)
def test_nodes_that_fail_over_hold_the_vip_unless_another_tier_is_before_them(listing, group, holders):
    listing["dovecot_active_passive"] = listing.pop("dovecot_replicated")
    listing.pop("dovecot_loadbalancers")
    listing |= {group: {"hosts": ["lb1"]}} if group else {}
    cluster = parse(listing)
    assert [node.name for node in cluster.nodes if cluster.may_hold_vip(node)] == holders
