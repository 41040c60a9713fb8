"""The topology follows from groups and addresses alone."""

from __future__ import annotations

from ansible_collections.mailcluster.dovecot.plugins.plugin_utils import _topology

GROUPS = {
    "dovecot_cluster": ["lb1", "d1", "a1", "a2", "b1"],
    "dovecot_loadbalancers": ["lb1"],
    "dovecot_directors": ["d1"],
    "dovecot_backends": ["a1", "a2", "b1"],
    "dovecot_replicated": ["a1", "a2"],
    "elsewhere": ["web1"],
}


def given(number, partition=None):
    return {"address": f"198.51.100.{number}", "hostname": f"h{number}", "partition": partition}


HOSTS = {"lb1": given(1), "d1": given(2), "a1": given(3, "a"), "a2": given(4, "a"), "b1": given(5)}


def derived(**options):
    return _topology.derive(GROUPS, HOSTS, **options)


def test_groups_select_the_roles_in_their_order():
    roles = {name: node["roles"] for name, node in derived()["nodes"].items()}
    assert roles == {
        "lb1": ["node", "loadbalancer"],
        "d1": ["node", "server", "director"],
        "a1": ["node", "server", "backend", "replication"],
        "a2": ["node", "server", "backend", "replication"],
        "b1": ["node", "server", "backend"],
    }


def test_a_partner_is_the_other_node_of_a_replicated_partition():
    nodes = derived()["nodes"]
    assert (nodes["a1"]["partner"], nodes["a2"]["partner"], nodes["b1"]["partner"]) == ("a2", "a1", None)


def test_a_backend_without_partition_is_one_by_itself():
    assert derived()["partitions"] == {"a": ["a1", "a2"], "b1": ["b1"]}


def test_the_vip_moves_between_the_load_balancers():
    topology = derived(vip="198.51.100.10/24")
    assert topology["vip_holders"] == ["lb1"]
    assert topology["nodes"]["lb1"]["roles"] == ["node", "loadbalancer", "service_address"]
    assert "service_address" not in topology["nodes"]["a1"]["roles"]


def test_without_load_balancers_and_directors_the_vip_moves_between_the_nodes_of_the_pair():
    groups = {**GROUPS, "dovecot_loadbalancers": [], "dovecot_directors": []}
    assert _topology.derive(groups, HOSTS, vip="198.51.100.10/24")["vip_holders"] == ["a1", "a2"]
    assert _topology.derive(groups, HOSTS)["vip_holders"] == []


def test_directors_without_load_balancers_have_no_vip():
    groups = {**GROUPS, "dovecot_loadbalancers": []}
    assert _topology.derive(groups, HOSTS, vip="198.51.100.10/24")["vip_holders"] == []


def test_load_balancers_send_clients_to_the_directors_or_else_to_the_backends():
    assert derived()["entry_nodes"] == ["d1"]
    assert _topology.derive({**GROUPS, "dovecot_directors": []}, HOSTS)["entry_nodes"] == ["a1", "a2", "b1"]


def test_hosts_outside_of_the_cluster_do_not_appear():
    assert "web1" not in derived()["nodes"]


def test_the_vip_comes_apart_into_address_and_prefix():
    assert derived(vip="198.51.100.10/24")["vip"] == {"address": "198.51.100.10", "prefix": 24}
    assert derived(vip="nonsense")["vip"] is None


def test_overlapping_networks_are_merged_by_family():
    assert _topology.merged_networks(["198.51.100.7", "198.51.100.0/25", "2001:db8::1", "nonsense"]) == {
        "ipv4": ["198.51.100.0/25"],
        "ipv6": ["2001:db8::1/128"],
    }


PAIR = {**GROUPS, "dovecot_active_passive": ["a1", "a2"], "dovecot_replicated": []}


def with_a_pair(**more):
    """Of a1 and a2 one serves, at .11; b1 is a server by itself."""
    hosts = {name: {**host, "service_address": "198.51.100.11/24"} for name, host in HOSTS.items()}
    return _topology.derive({**PAIR, **more}, hosts)


def test_the_nodes_of_an_active_passive_pair_are_partners_with_one_service_address():
    nodes = with_a_pair()["nodes"]
    assert {name: (nodes[name]["partner"], nodes[name]["service_address"]) for name in ("a1", "a2", "b1")} == {
        "a1": ("a2", "198.51.100.11"),
        "a2": ("a1", "198.51.100.11"),
        "b1": (None, None),
    }
    assert nodes["a1"]["roles"] == ["node", "server", "backend", "active_passive"]


def test_directors_know_a_pair_as_one_backend():
    assert with_a_pair()["ring_backends"] == [
        {"host": "198.51.100.11", "tag": "a", "weight": 100},
        {"host": "198.51.100.5", "tag": "b1", "weight": 100},
    ]


def test_directors_know_each_backend_of_other_partitions():
    assert [backend["host"] for backend in derived()["ring_backends"]] == ["198.51.100.3", "198.51.100.4", "198.51.100.5"]


def test_proxies_find_the_active_node_at_the_service_address():
    assert with_a_pair()["partition_addresses"] == {"a": "198.51.100.11", "b1": "198.51.100.5"}
    assert derived()["partition_addresses"]["a"] == "198.51.100.3"


def test_of_a_pair_keepalived_holds_no_address():
    groups = {**PAIR, "dovecot_loadbalancers": [], "dovecot_directors": []}
    assert _topology.derive(groups, HOSTS, vip="198.51.100.10/24")["vip_holders"] == []
