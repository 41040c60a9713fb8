"""Whose networks the lab refuses to take, and what fits through."""

from __future__ import annotations

import ipaddress

import pytest

from labtool import network, paths
from labtool.system import LabError

LAB = ipaddress.IPv4Network("198.51.100.0/24")


def link(name, *addresses):
    infos = [{"family": "inet", "local": text.partition("/")[0], "prefixlen": int(text.partition("/")[2])} for text in addresses]
    return {"ifname": name, "mtu": 1400, "addr_info": infos}


def test_other_networks_do_not_matter():
    routes = [{"dst": "default", "dev": "eth0"}, {"dst": "192.0.2.0/24", "dev": "eth0"}, {"dst": "fe80::/64", "dev": "eth0"}]
    network.refuse_overlap(LAB, [link("lo", "127.0.0.1/8"), link("eth0", "192.0.2.2/24")], routes)


def test_the_labs_own_bridge_does_not_matter():
    routes = [{"dst": "198.51.100.0/24", "dev": paths.BRIDGE}]
    network.refuse_overlap(LAB, [link(paths.BRIDGE, "198.51.100.1/24")], routes)


@pytest.mark.parametrize(
    ("addresses", "routes", "word"),
    [
        ([link("eth1", "198.51.100.7/24")], [], "eth1"),
        ([link("eth1", "198.51.0.1/16")], [], "198.51.0.1/16"),
        ([link("eth1", "198.51.100.129/25")], [], "eth1"),
        ([], [{"dst": "198.51.100.128/25", "dev": "tun0"}], "tun0"),
        ([], [{"dst": "198.51.100.9", "dev": "tun0"}], "198.51.100.9"),
    ],
)
def test_overlap_is_refused_with_its_reason(addresses, routes, word):
    with pytest.raises(LabError) as caught:
        network.refuse_overlap(LAB, addresses, routes)
    assert word in str(caught.value)
    assert "198.51.100.0/24" in str(caught.value)


def test_mtu_is_that_of_the_way_out():
    links = [{"ifname": "lo", "mtu": 65536}, {"ifname": "eth0", "mtu": 1400}, {"ifname": "eth1", "mtu": 9000}]
    assert network.mtu([{"dst": "default", "dev": "eth0"}], links) == 1400
    assert network.mtu([], links) == network.DEFAULT_MTU


def test_rules_of_a_lost_network_are_recognised_and_no_others():
    listed = """\
-P POSTROUTING ACCEPT
-N NETAVARK-9A0BCE1CF79F1
-A POSTROUTING -j NETAVARK-HOSTPORT-MASQ
-A POSTROUTING -s 198.51.100.0/24 -j NETAVARK-9A0BCE1CF79F1
-A POSTROUTING -s 10.88.0.0/16 -j NETAVARK-1D8721804F16F
-A POSTROUTING -s 198.51.100.0/24 -j MASQUERADE
-A NETAVARK-9A0BCE1CF79F1 -d 198.51.100.0/24 -j ACCEPT
-A NETAVARK-9A0BCE1CF79F1 ! -d 224.0.0.0/4 -j MASQUERADE
"""
    assert network.rules_of(listed, ["198.51.100.0/24"]) == (
        [
            ["POSTROUTING", "-s", "198.51.100.0/24", "-j", "NETAVARK-9A0BCE1CF79F1"],
            ["NETAVARK-9A0BCE1CF79F1", "-d", "198.51.100.0/24", "-j", "ACCEPT"],
        ],
        ["NETAVARK-9A0BCE1CF79F1"],
    )
    assert network.rules_of(listed, []) == ([], [])


def test_rules_of_the_lab_itself_are_recognised_by_their_mark():
    made = [" ".join(["-A", *rule, "-m", "comment", "--comment", network.COMMENT]) for _table, *rule in network.own_rules(LAB)]
    listed = "\n".join(["-P FORWARD DROP", "-A FORWARD -s 198.51.100.0/24 -j ACCEPT", *made])
    assert network.own_rules_of(listed) == ([line.split()[1:] for line in made], [])


def test_a_nodes_hardware_address_comes_from_its_address():
    assert network.mac("198.51.100.61") == "02:6d:c6:33:64:3d"
