"""Reading a node: the pure parts."""

from __future__ import annotations

import json

import pytest

from ansible_collections.mailcluster.dovecot.plugins.modules import node_info


@pytest.mark.parametrize("debian, upstream", [
    ("1:2.3.19.1+dfsg1-2.1+deb12u7", "2.3.19.1"),
    ("2.4.1+dfsg1-6", "2.4.1"),
    ("(none)", None),
    ("", None),
    (None, None),
])
def test_the_upstream_version_of_a_debian_version(debian, upstream):
    assert node_info.upstream_version(debian) == upstream


@pytest.mark.parametrize("system, release, series", [
    ("debian", "12", "2.3.0"),
    ("debian", "13", "2.4.0"),
    ("ubuntu", "24.04", "2.3.0"),
    ("ubuntu", "26.04", "2.4.0"),
    ("debian", "", None),
    ("fedora", "40", None),
])
def test_the_series_of_a_release_without_package_lists(system, release, series):
    assert node_info.version_of_release({"ID": system, "VERSION_ID": release}) == series


def test_quotes_of_os_release_are_removed():
    parsed = node_info.parse_os_release('ID=debian\nVERSION_ID="12"\n\n# comment\n')
    assert (parsed["ID"], parsed["VERSION_ID"]) == ("debian", "12")


def test_loopback_and_link_local_addresses_are_left_out():
    listing = json.dumps([
        {"ifname": "lo", "addr_info": [{"local": "127.0.0.1", "scope": "host"}]},
        {"ifname": "eth0", "addr_info": [{"local": "198.51.100.31", "scope": "global"},
                                         {"local": "fe80::1", "scope": "link"}]},
    ])
    assert node_info.interface_addresses(listing) == [("eth0", "198.51.100.31")]


def test_the_states_of_units_are_told_apart_by_their_blocks():
    shown = ("Id=dovecot.service\nActiveState=active\nUnitFileState=enabled\n\n"
             "Id=missing.service\nActiveState=inactive\nUnitFileState=\n")
    assert node_info.parse_units(shown) == {
        "dovecot.service": ("active", "enabled"), "missing.service": ("inactive", "")}
