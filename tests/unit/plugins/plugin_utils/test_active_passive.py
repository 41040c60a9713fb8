"""What is declared of active/passive pairs."""

from __future__ import annotations

import pytest

from ansible_collections.mailcluster.dovecot.plugins.filter.fence_devices import fence_devices
from ansible_collections.mailcluster.dovecot.plugins.plugin_utils import _active_passive as pairs

HOST = {
    "dovecot_active_passive_address": "198.51.100.10/24",
    "dovecot_active_passive_storage": "drbd",
    "dovecot_active_passive_device": "/dev/vg0/mail",
    "dovecot_active_passive_filesystem": "ext4",
    "dovecot_active_passive_mount_options": ["noatime"],
    "dovecot_active_passive_fencing": {"agent": "fence_ipmilan", "options": {"ip": "192.0.2.130", "lanplus": True, "cipher": 3}},
    "dovecot_active_passive_fencing_delay": 5.0,
    "dovecot_active_passive_second_address": "",
    "dovecot_active_passive_existing_filesystem": "",
    "dovecot_active_passive_secret": "0123456789abcdef0123456789abcdef",
    "dovecot_mail_home": "/var/vmail",
    "dovecot_backend_mail_location": "mdbox:~/mdbox",
    "dovecot_backend_namespaces": [],
}


def declared(**given):
    return pairs.declared({**HOST, **given}, "a")


def test_a_fence_agent_gets_texts():
    assert declared()["fencing"]["options"] == {"ip": "192.0.2.130", "lanplus": "1", "cipher": "3"}


@pytest.mark.parametrize("given", [None, {}, {"agent": None, "options": None}])
def test_fencing_of_which_nothing_is_said(given):
    fencing = declared(dovecot_active_passive_fencing=given)["fencing"]
    assert fencing == {"agent": "", "options": {}, "accepted": ""}


@pytest.mark.parametrize(
    ("location", "paths"),
    [
        ("mdbox:~/mdbox", []),
        ("sdbox:%h/sdbox:LAYOUT=fs:NO-NOSELECT", []),
        ("mdbox:/srv/%u", ["/srv/%u"]),
        ("/srv/%u", ["/srv/%u"]),
        ("maildir:~/Maildir:INDEX=/i/%u:CONTROL=/c/%u:ALT=~/alt:INBOX=/n/%u", ["/i/%u", "/c/%u", "/n/%u"]),
        ("mdbox:~/mdbox:VOLATILEDIR=/run/%u", []),
        ("mdbox:/srv/a=b/%u", ["/srv/a=b/%u"]),
    ],
)
def test_the_places_of_mail_that_have_to_move_with_it(location, paths):
    assert list(pairs.places(location)) == paths


def test_places_of_namespaces_are_told_by_their_names():
    spaces = [{"name": "public", "location": "mdbox:/srv/public"}, {"name": "archive", "prefix": "Archive/"}]
    assert declared(dovecot_backend_namespaces=spaces)["locations"] == [
        ("dovecot_backend_mail_location:", "mdbox:~/mdbox"),
        ("dovecot_backend_namespaces: 'public' has", "mdbox:/srv/public"),
    ]


NODES = [{"name": "a1", "hostname": "mail1"}, {"name": "a2", "hostname": "mail2"}]


def devices(agent, options=None):
    """Of a pair both of whose nodes have this agent; options: how those of the second differ."""
    first = declared(dovecot_active_passive_fencing={"agent": agent, "options": {"ip": "192.0.2.130"}})
    second = declared(dovecot_active_passive_fencing={"agent": agent, "options": options or {"ip": "192.0.2.130"}})
    return fence_devices(NODES, {"a1": first, "a2": second})


def test_each_node_has_a_device_that_knows_its_host_name():
    assert devices("fence_ipmilan", {"ip": "192.0.2.131"}) == [
        {"name": "mail1", "agent": "fence_ipmilan", "options": {"ip": "192.0.2.130"}, "hosts": ["mail1"]},
        {"name": "mail2", "agent": "fence_ipmilan", "options": {"ip": "192.0.2.131"}, "hosts": ["mail2"]},
    ]


def test_a_pair_that_sends_messages_has_one_device_that_waits_until_a_node_must_have_reset_itself():
    fencing = {"agent": "fence_sbd", "options": {"devices": "/dev/disk/by-id/1, /dev/disk/by-id/2"}}
    host = declared(dovecot_active_passive_fencing=fencing, dovecot_active_passive_watchdog_timeout=20)
    assert host["fence_disks"] == ["/dev/disk/by-id/1", "/dev/disk/by-id/2"]
    (device,) = fence_devices(NODES, {"a1": host, "a2": host})
    assert device["hosts"] == ["mail1", "mail2"]
    assert device["options"] == {"devices": "/dev/disk/by-id/1, /dev/disk/by-id/2", "power_timeout": "50"}


def test_without_fencing_there_is_no_device():
    assert devices("none") == []


def test_pairs_that_share_a_secret_have_keys_of_their_own_as_corosync_and_drbd_take_them():
    one, other = pairs.declared(HOST, "a"), pairs.declared(HOST, "b")
    assert one["corosync_key"] != other["corosync_key"] and one["drbd_secret"] != other["drbd_secret"]
    assert len(one["corosync_key"]) >= 128 and len(one["drbd_secret"]) <= 63
