"""What is rendered for mail servers that ask for SMTP AUTH: who judges, where, and who gets there."""

from __future__ import annotations

import re
from pathlib import Path

import jinja2
import pytest

from ansible_collections.mailcluster.dovecot.plugins.filter.merged_networks import merged_networks
from ansible_collections.mailcluster.dovecot.plugins.filter.passwd_entry import passwd_entry
from ansible_collections.mailcluster.dovecot.plugins.plugin_utils import _user_databases

ROLES = Path(__file__).resolve().parents[3] / "roles"
SERVICES = ("imap", "imaps", "pop3", "pop3s", "lmtp", "sieve")
PROTOCOLS = ["imap", "pop3", "sieve", "lmtp", "doveadm"]


def render(template, **variables):
    # as Ansible does
    environment = jinja2.Environment(trim_blocks=True, keep_trailing_newline=True, undefined=jinja2.StrictUndefined)
    environment.filters["mailcluster.dovecot.merged_networks"] = merged_networks
    environment.filters["mailcluster.dovecot.passwd_entry"] = passwd_entry
    return environment.from_string((ROLES / template).read_text()).render(ansible_managed="", **variables)


def users_conf(roles, databases=({"driver": "passwd_file"},), sasl=True, apart=True):
    return render(
        "server/templates/12-users.conf.j2",
        __dovecot_roles=roles,
        __dovecot_is_implicit_proxy=False,
        __dovecot_user_databases={"databases": _user_databases.complete(databases)},
        __dovecot_sasl=sasl,
        __dovecot_sasl_apart=apart,
        __dovecot_proxies=[],
        __dovecot_proxy_master={},
        __dovecot_space_gate="/run/space",
        dovecot_sasl_port=12325,
        dovecot_mail_uid=5000,
        dovecot_mail_gid=5000,
        dovecot_mail_home="/var/vmail",
        dovecot_protocols=["imap", "pop3", "lmtp", "sieve"],
        dovecot_auth_cache_size="10M",
        dovecot_auth_cache_ttl="5 min",
        dovecot_auth_cache_negative_ttl="30 s",
    )


def arguments(text):
    """(protocol or '', what the passdb asks) of all passdbs, in their order."""
    found, protocol, within = [], "", False
    for line in text.splitlines():
        if match := re.match(r"protocol (\S+) \{", line):
            protocol = match.group(1)
        elif line == "}":
            protocol = ""
        elif within and line.strip().startswith("args"):
            found.append((protocol, line.split()[-1]))
        within = line.strip() == "passdb {" or (within and line.strip() != "}")
    return found


def test_a_director_judges_what_it_does_not_pass_on():
    text = users_conf(["server", "director"])
    assert arguments(text) == [
        ("", "/etc/dovecot/sasl-users.passwd"),
        *((protocol, "/etc/dovecot/users.passwd") for protocol in PROTOCOLS),
    ]
    assert text.count("result_failure = return-fail") == len(PROTOCOLS), "those that judge would be asked after those that do not"


def test_a_proxy_holds_who_is_moved_and_asks_all_databases():
    text = users_conf(["server", "proxy"], [{"driver": "ldap"}, {"driver": "pgsql"}])
    told = arguments(text)
    assert told[:2] == [("", "/etc/dovecot/databases/ldap-sasl.conf.ext"), ("", "/etc/dovecot/databases/pgsql-sasl.conf.ext")]
    assert told[2:5] == [
        ("imap", "/etc/dovecot/held-users.passwd"),
        ("imap", "/etc/dovecot/databases/ldap.conf.ext"),
        ("imap", "/etc/dovecot/databases/pgsql.conf.ext"),
    ]
    assert len(told) == 2 + 3 * len(PROTOCOLS)


def test_a_backend_that_clients_come_to_judges_anyway():
    text = users_conf(["server", "backend"], apart=False)
    assert arguments(text) == [("", "/etc/dovecot/users.passwd")]
    assert "inet_listener sasl {\n    port = 12325" in text


def test_without_mail_servers_nothing_listens():
    text = users_conf(["server", "director"], sasl=False, apart=False)
    assert "inet_listener" not in text and "sasl" not in text
    assert arguments(text) == [("", "/etc/dovecot/users.passwd")]


def test_mail_servers_are_told_passwords_are_right_and_no_more():
    text = render(
        "server/templates/sasl-users.passwd.j2",
        dovecot_users=[{"name": "Zoe@example.org", "password": "{CRYPT}x", "partition": "a", "quota": "5G"}],
    )
    assert "zoe@example.org:{CRYPT}x::::::\n" in text


def firewall(sasl):
    return render(
        "node/templates/firewall.nft.j2",
        __dovecot_roles=[],
        __dovecot_addresses=["198.51.100.21"],
        __dovecot_directors=[],
        __dovecot_loadbalancers=[{"address": "198.51.100.11"}],
        __dovecot_vip_holders=[],
        __dovecot_storage_clients=[],
        __dovecot_sasl_in_cluster=sasl,
        __dovecot_is_active_passive=False,
        dovecot_mta_networks=["203.0.113.0/28"] if sasl else [],
        dovecot_sasl_port=12325,
        dovecot_ring_port=9090,
        dovecot_doveadm_port=12345,
        dovecot_dsync_port=12347,
        dovecot_agent_port=12346,
        dovecot_ports={"lmtp": 24},
        __dovecot_proxy_protocol_ports={"lmtp": 10024},
        __dovecot_health_ports={"lmtp": 11024},
    )


def test_mail_servers_and_load_balancers_get_through_the_firewall():
    text = firewall(True)
    assert "tcp dport { 12325 } ip saddr != @sasl_clients_ipv4 drop" in text
    assert "tcp dport { 12325 } ip6 saddr != @sasl_clients_ipv6 drop" in text
    members = re.search(r"set sasl_clients_ipv4 \{.*?elements = \{ (.*?) \}", text, re.DOTALL).group(1)
    assert members == "198.51.100.11/32, 203.0.113.0/28", "the cluster's other nodes are no mail servers"


def test_without_mail_servers_the_firewall_has_no_such_port():
    assert "12325" not in firewall(False)


@pytest.mark.parametrize("sasl", (True, False))
def test_load_balancers_pass_mail_servers_on(sasl):
    text = render(
        "loadbalancer/templates/haproxy.cfg.j2",
        __dovecot_sasl_in_cluster=sasl,
        dovecot_sasl_port=12325,
        dovecot_agent_port=12346,
        __dovecot_topology={"vip": {"address": "198.51.100.10"}},
        __dovecot_entry_nodes=[{"name": "director1", "address": "198.51.100.21", "roles": ["director"]}],
        __dovecot_ports=SERVICES,
        dovecot_ports=dict.fromkeys(SERVICES, 1),
        dovecot_proxy_protocol_ports=dict.fromkeys(SERVICES, 2),
        dovecot_health_ports=dict.fromkeys(SERVICES, 3),
        dovecot_loadbalancer_maxconn=1,
        dovecot_loadbalancer_timeout="31m",
        dovecot_loadbalancer_hard_stop_after="12h",
    )
    assert ("listen sasl\n  bind 198.51.100.10:12325 transparent" in text) == sasl
    assert ("server director1 198.51.100.21:12325 check\n" in text) == sasl
