"""Wrong inventories: each is refused in one message that names the variable, the value and the remedy.

Most of them are judged in this process, in which Ansible reads the inventory and runs preflight. Some go through
playbooks/site.yml as a user runs it: no node is touched then, because ssh is not even started.
"""

from __future__ import annotations

import datetime
import functools
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from on_controller import judged

CHECKOUT = Path(__file__).resolve().parents[3]


@functools.cache
def self_signed():
    """A certificate and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "mail.example.org")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM).decode(), key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


class Inventory:
    """A copy of one of the inventories that a test may spoil."""

    def __init__(self, folder, variant="ideal"):
        folder.mkdir(exist_ok=True)
        self.folder = folder / variant
        shutil.copytree(CHECKOUT / "inventories" / variant, self.folder, ignore=shutil.ignore_patterns(".secrets"))
        secrets = self.folder / ".secrets"
        secrets.mkdir()
        certificate, key = self_signed()
        for name, text in (("tls.pem", certificate), ("tls.key", key), ("ca.pem", certificate)):
            (secrets / name).write_text(text)
        (secrets / "bmc_password").write_text("secret-of-the-bmc")
        self.variables = {}
        self.ssh_was_started = folder / "ssh-was-started"
        self._ssh = folder / "ssh"
        self._ssh.write_text(f"#!/bin/sh\ntouch {self.ssh_was_started}\nexit 255\n")
        self._ssh.chmod(0o755)
        self.hosts = yaml.safe_load((self.folder / "hosts.yml").read_text())
        self.groups = self.hosts["dovecot_cluster"]["children"]
        backends = self.groups["dovecot_backends"].get("children", {})
        self.partition_a = backends.get("partition_a") or backends.get("dovecot_replicated")

    def write(self):
        """The files of what the test has made of it: the hosts, and the variables for all."""
        hosts, extra = self.folder / "hosts.yml", self.folder / "extra.yml"
        hosts.write_text(yaml.safe_dump(self.hosts))
        extra.write_text(yaml.safe_dump(self.variables))
        return hosts, f"@{extra}"

    def refusal(self):
        """What preflight has to say, or nothing."""
        hosts, extra = self.write()
        return " ".join(judged(hosts, [extra])[1])

    def deploy(self):
        """The output of a run that fails, at the nodes at the latest, with wrapped lines joined."""
        hosts, extra = self.write()
        done = subprocess.run(
            ["ansible-playbook", "-i", hosts, "-e", extra, CHECKOUT / "playbooks/site.yml"],
            env={**os.environ, "ANSIBLE_SSH_EXECUTABLE": str(self._ssh), "ANSIBLE_NOCOLOR": "1"},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        output = done.stdout + done.stderr
        assert done.returncode != 0, output
        return re.sub(r"\s+", " ", output)


def assert_refused(inventory, spoil, expected):
    """Once it is spoilt it is refused, in the I(expected) words."""
    spoil(inventory)

    refusal = inventory.refusal()

    for words in expected:
        assert words in refusal


@pytest.fixture
def inventory(tmp_path):
    return Inventory(tmp_path)


def one_node_in_partition(inventory):
    del inventory.partition_a["hosts"]["a2"]


def three_nodes_in_partition(inventory):
    inventory.partition_a["hosts"]["a3"] = {"ansible_host": "198.51.100.33"}


def backend_without_partition(inventory):
    del inventory.partition_a["vars"]
    inventory.groups["dovecot_replicated"]["children"].pop("partition_a")


def same_address_twice(inventory):
    inventory.partition_a["hosts"]["a2"]["ansible_host"] = "198.51.100.31"


def same_host_name_twice(inventory):
    inventory.partition_a["hosts"]["a2"]["dovecot_hostname"] = "A1"


def no_address(inventory):
    inventory.partition_a["hosts"]["a2"]["ansible_host"] = "198.51.100.320"


def address_outside_of_the_network(inventory):
    inventory.partition_a["hosts"]["a2"]["ansible_host"] = "203.0.113.5"


def single_director(inventory):
    del inventory.groups["dovecot_directors"]["hosts"]["director2"]


def node_with_two_tiers(inventory):
    inventory.groups["dovecot_directors"]["hosts"]["a1"] = {}


def another_pair(inventory):
    inventory.groups["dovecot_backends"]["children"]["dovecot_replicated"] = {
        "children": {
            "partition_a": {"vars": {"dovecot_partition": "a"}, "hosts": inventory.partition_a["hosts"]},
            "partition_b": {
                "vars": {"dovecot_partition": "b"},
                "hosts": {"mail3": {"ansible_host": "198.51.100.33"}, "mail4": {"ansible_host": "198.51.100.34"}},
            },
        }
    }
    inventory.variables["dovecot_users"] = [user()]


def pair_that_is_none(inventory):
    inventory.groups["dovecot_backends"]["children"] = {
        "alone": {"vars": {"dovecot_partition": "pair"}, "hosts": {"mail1": {"ansible_host": "198.51.100.31"}}}
    }


def a_user_on_one_node_only(inventory):
    common = [user(name=f"{name}@example.org", partition="pair") for name in ("alice", "bob")]
    inventory.partition_a["hosts"]["mail1"]["dovecot_users"] = common
    inventory.partition_a["hosts"]["mail2"]["dovecot_users"] = [*common, user(partition="pair")]


def a_user_on_one_node_only_by_a_template(inventory):
    """The same words for both nodes, which say something else on each."""
    common = [user(name=f"{name}@example.org", partition="pair") for name in ("alice", "bob")]
    for name, more in (("mail1", []), ("mail2", [user(partition="pair")])):
        inventory.partition_a["hosts"][name].update({"common": common, "more": more, "dovecot_users": "{{ common + more }}"})


def names_that_are_templates(inventory):
    for node in inventory.partition_a["hosts"].values():
        node["dovecot_users"] = [user(name="{{ inventory_hostname }}@example.org", partition="pair")]


def another_secret_on_one_node(inventory):
    inventory.partition_a["hosts"]["a2"]["dovecot_doveadm_password"] = "another-secret-of-32-characters"


def variables(**given):
    def spoil(inventory):
        inventory.variables.update(given)

    return spoil


def user(**fields):
    return {"name": "zoe@example.org", "partition": "a", "password": "{SHA512-CRYPT}$6$abcdefgh$" + 86 * "x", **fields}


COMBINED = "-----BEGIN CERTIFICATE-----\nMII\n-----END CERTIFICATE-----\n-----BEGIN EC PRIVATE KEY-----\nMHc\n"


# Cases that are alike are written out as well, so that whoever changes a refusal finds its words here.
REFUSALS = {
    "too few sessions": (
        variables(dovecot_sessions=10),
        ["dovecot_sessions: '10' is no number from 100 to 100000", "docs/sizing.md"],
    ),
    "a partition with one node": (
        one_node_in_partition,
        ["dovecot_partition: partition 'a'", "has 1 node (a1)", "add or remove nodes"],
    ),
    "a partition with three nodes": (
        three_nodes_in_partition,
        ["dovecot_partition: partition 'a'", "has 3 nodes (a1, a2, a3)", "add or remove nodes"],
    ),
    "a backend without partition": (
        backend_without_partition,
        ["dovecot_partition: backend a1 has none", "dovecot_partition: backend a2 has none", "set dovecot_partition"],
    ),
    "two nodes with the same address": (
        same_address_twice,
        ["dovecot_address: 198.51.100.31 is the address of a1 and of a2", "give every node its own"],
    ),
    "two nodes with the same host name": (
        same_host_name_twice,
        ["dovecot_hostname: 'A1' is the host name of a1 and of a2", "give every node its own"],
    ),
    "an address that is none": (
        no_address,
        ["dovecot_address: '198.51.100.320' of a2 is no IP address", "set ansible_host or dovecot_address"],
    ),
    "an address outside of the VIP's network": (
        address_outside_of_the_network,
        ["dovecot_address: 203.0.113.5 of a2 is outside of the VIP's network 198.51.100.0/24", "correct one of them"],
    ),
    "a single director": (
        single_director,
        ["dovecot_directors: director1 is the only one", "dovecot_director_allow_single: true"],
    ),
    "a node with two tiers": (node_with_two_tiers, ["a1 is backend and director at once", "one of these groups only"]),
    "a VIP that is a node's address": (
        variables(dovecot_vip="198.51.100.31/24"),
        ["dovecot_vip: 198.51.100.31 is the address of a1 too", "must be an address that no node has"],
    ),
    "a VIP without prefix": (
        variables(dovecot_vip="198.51.100.10"),
        ["dovecot_vip: '198.51.100.10' is no address with its network's prefix", "192.0.2.10/24"],
    ),
    "no VIP": (variables(dovecot_vip=""), ["dovecot_vip: missing", "set it to the service address"]),
    "a mail server network that is none": (
        variables(dovecot_mta_networks=["mail.example.org"]),
        ["dovecot_mta_networks: 'mail.example.org' is no network", "write an address or a network"],
    ),
    "no secret": (variables(dovecot_doveadm_password=""), ["dovecot_doveadm_password: is missing", "generate one"]),
    "a short secret": (
        variables(dovecot_doveadm_password="tooshort"),
        ["dovecot_doveadm_password: has 8 characters, at least 16", "generate one"],
    ),
    "another secret on one node": (
        another_secret_on_one_node,
        ["dovecot_doveadm_password: (values not shown) is different for a2 and for", "set it once, for dovecot_cluster"],
    ),
    "another secret at each reading": (
        variables(dovecot_doveadm_password="{{ lookup('ansible.builtin.password', '/dev/null') }}"),
        ["dovecot_doveadm_password: (values not shown)", "at each reading", "for example in ansible-vault"],
    ),
    "no certificate": (variables(dovecot_tls_cert=""), ["dovecot_tls_cert: missing", "dovecot_tls_cert_file"]),
    "a certificate with its key": (
        variables(dovecot_tls_cert=COMBINED),
        ["dovecot_tls_cert: (value not shown) has a private key in it", "the key in dovecot_tls_key"],
    ),
    "a user with an unknown partition": (
        variables(dovecot_users=[user(partition="z")]),
        ["dovecot_users: zoe@example.org has the partition 'z'", "set it to one of a, b"],
    ),
    "a user without partition": (
        variables(dovecot_users=[{"name": "zoe@example.org", "password": user()["password"]}]),
        ["dovecot_users: zoe@example.org has no partition", "set partition to one of a, b"],
    ),
    "a user listed twice": (
        variables(dovecot_users=[user(), user(name="Zoe@Example.org")]),
        ["dovecot_users: Zoe@Example.org is listed twice", "remove one"],
    ),
    "a user name that would break the file": (
        variables(dovecot_users=[user(name="zoe:x")]),
        ["dovecot_users: item 1 has the name 'zoe:x'", "without spaces, colons"],
    ),
    "a password that is not a hash": (
        variables(dovecot_users=[user(password="correct-horse-battery")]),
        ["dovecot_users: the password of zoe@example.org (not shown) is not a hash", "doveadm pw"],
    ),
    "a password that is marked as plain": (
        variables(dovecot_users=[user(password="{PLAIN}correct-horse-battery")]),
        ["dovecot_users: the password of zoe@example.org (not shown) is not a hash", "doveadm pw"],
    ),
    "a noreplicate that is neither true nor false": (
        variables(dovecot_users=[user(noreplicate="maybe")]),
        ["dovecot_users: item 1 (zoe@example.org) has the noreplicate 'maybe' which is neither true nor false"],
    ),
    "a SASL listener where any password is right": (
        variables(dovecot_settings={"service auth": {"inet_listener sasl": {"port": 12346}}}),
        [
            "dovecot_settings: service auth/inet_listener sasl of director1, director2 says OK to any password",
            "open relay",
            "there is one that judges, at dovecot_sasl_port",
        ],
    ),
    "a shared quota dictionary": (
        variables(dovecot_backend_quota="dict:User quota::proxy::quota"),
        ["dovecot_backend_quota: 'dict:User quota::proxy::quota' with dovecot_replicated", "use 'count:User quota'"],
    ),
    "a shared quota dictionary among the settings": (
        variables(dovecot_settings={"plugin": {"quota": "dict:User quota::proxy::quota"}}),
        ["dovecot_settings: plugin/quota", "use 'count:User quota'"],
    ),
    "Maildir": (
        variables(dovecot_backend_mail_location="maildir:~/Maildir"),
        [
            "dovecot_backend_mail_location: 'maildir:~/Maildir' with dovecot_replicated",
            "GUIDs conflict",
            "dovecot_replication_allow_maildir: true",
        ],
    ),
    "replication_sync_timeout": (
        variables(dovecot_settings={"replication_sync_timeout": 2}),
        ["dovecot_settings: replication_sync_timeout (2)", "crashes the replicator", "remove it"],
    ),
    "a dsync namespace that does not exist": (
        variables(dovecot_replication_dsync_parameters="-d -n INBOX -N"),
        ["dovecot_replication_dsync_parameters: '-n INBOX'", "names no namespace", "remove it"],
    ),
    "a namespace whose name is a list": (
        variables(dovecot_backend_namespaces=[{"name": ["archive"]}]),
        ["dovecot_backend_namespaces: item 1 has the name '['archive']': give it a name of letters"],
    ),
    "a number as a name below the service auth": (
        variables(dovecot_settings={"service auth": {12346: "x"}}),
        ["dovecot_settings: service auth/12346 of", "'12346' is no name of a setting: correct it"],
    ),
    "a number that no computer has room for": (
        variables(dovecot_service_address_advert_interval=10**400),
        ["dovecot_service_address_advert_interval: '1000", "is no number: write it as 1.5"],
    ),
    "a number without an end": (
        variables(dovecot_sessions="inf"),
        ["dovecot_sessions: 'inf' is no whole number: write digits only"],
    ),
    "a number that would take days to be written out": (
        variables(dovecot_sessions="1e999999999"),
        ["dovecot_sessions: '1e999999999' is no whole number: write digits only"],
    ),
    "a number of more digits than Python takes": (
        variables(dovecot_backend_weight="9" * 5000),
        ["dovecot_backend_weight: '999", "is no whole number: write digits only"],
    ),
    "a template that gives a number of more digits than Python writes": (
        variables(dovecot_backend_weight="{{ 10**5000 }}"),
        ["dovecot_backend_weight: cannot be read: it gives a number of thousands of digits: correct the template"],
    ),
    "a time of more digits than Python takes": (
        variables(dovecot_loadbalancer_timeout="9" * 5000 + "s", dovecot_auth_cache_ttl="9" * 5000 + " s"),
        ["dovecot_loadbalancer_timeout: '999", "dovecot_auth_cache_ttl: '999", "is no time with its unit"],
    ),
    "a calendar expression of more digits than Python takes": (
        variables(dovecot_backend_purge_time="9" * 5000 + ":00"),
        ["dovecot_backend_purge_time: '999", "is no calendar expression of systemd"],
    ),
    "a unit in another alphabet": (
        variables(dovecot_director_user_expire="900 ſ"),
        ["dovecot_director_user_expire: '900 ſ' is no time with its unit: write it as 15 min"],
    ),
    "digits of another alphabet": (
        variables(dovecot_director_user_expire="٩٠٠ s", dovecot_backend_quota_limit="٥G"),
        ["dovecot_director_user_expire: '٩٠٠ s' is no time with its unit", "dovecot_backend_quota_limit: '٥G' is no size"],
    ),
    "an empty key whose default cannot be known yet": (
        variables(dovecot_service_address_preferred=None),
        ["dovecot_service_address_preferred: is empty: give it a value, or remove it for its default"],
    ),
    "an empty key whose default cannot be read": (
        variables(dovecot_loadbalancer_maxconn=None, dovecot_sessions="{{ nope }}"),
        ["dovecot_loadbalancer_maxconn: cannot be read: it needs 'nope', which is not defined"],
    ),
}


PAIR_REFUSALS = {
    "a service address that is a node's": (
        variables(dovecot_vip="198.51.100.32/24"),
        ["dovecot_vip: 198.51.100.32 is the address of mail2 too", "must be an address that no node has"],
    ),
    "a service address outside of the nodes' network": (
        variables(dovecot_vip="203.0.113.10/24"),
        ["dovecot_address: 198.51.100.31 of mail1 is outside of the VIP's network 203.0.113.0/24", "correct one of them"],
    ),
    "a service address outside of the nodes' network though routed": (
        variables(dovecot_vip="203.0.113.10/24", dovecot_allow_routed=True),
        ["dovecot_address: 198.51.100.31 of mail1 is outside of the VIP's network 203.0.113.0/24", "correct one of them"],
    ),
    "a service address for two pairs": (
        another_pair,
        ["dovecot_vip: '198.51.100.10/24' with the partitions a, b", "add these, or leave dovecot_vip out"],
    ),
    "a service address for a single server": (
        pair_that_is_none,
        ["dovecot_vip: '198.51.100.10/24' has no node that could hold it", "only a replicated or an active/passive pair"],
    ),
    "a preferred node that is none of the two": (
        variables(dovecot_service_address_preferred="mail3"),
        ["dovecot_service_address_preferred: 'mail3' cannot hold the VIP", "set it to one of mail1, mail2"],
    ),
    "different users on the two nodes": (
        a_user_on_one_node_only,
        ["dovecot_users: partition 'pair' has zoe@example.org only for mail2", "set dovecot_users once, for their group"],
    ),
    "different users on the two nodes by a template": (
        a_user_on_one_node_only_by_a_template,
        ["dovecot_users: partition 'pair' has zoe@example.org only for mail2", "set dovecot_users once, for their group"],
    ),
    "names that are templates": (
        names_that_are_templates,
        ["dovecot_users: partition 'pair' has mail1@example.org only for mail1", "set dovecot_users once, for their group"],
    ),
    "tcps without an authority": (
        variables(dovecot_replication_transport="tcps"),
        ["dovecot_replication_ca: missing", "or dovecot_replication_ca_file"],
    ),
    "a path for the authority": (
        variables(dovecot_replication_transport="tcps", dovecot_replication_ca="/etc/ssl/ca.pem"),
        ["dovecot_replication_ca: (value not shown) is no PEM text", "use dovecot_replication_ca_file"],
    ),
    "an authority with its key": (
        variables(dovecot_replication_transport="tcps", dovecot_replication_ca=COMBINED),
        ["dovecot_replication_ca: (value not shown) has a private key in it", "keep its key away from the nodes"],
    ),
    "a partner given by hand": (
        variables(dovecot_settings={"plugin": {"mail_replica": "tcp:192.0.2.99:12347"}}),
        ["dovecot_settings: mail_replica (tcp:192.0.2.99:12347) of mail1, mail2", "follows from the inventory alone: remove it"],
    ),
}


def both_forms_at_once(inventory):
    inventory.groups["dovecot_implicit_proxies"] = {"children": {"dovecot_backends": None}}


def a_proxy_that_is_a_backend_too(inventory):
    inventory.groups["dovecot_proxies"]["hosts"]["a1"] = {}


def a_pair_behind_proxies(inventory):
    inventory.groups["dovecot_backends"]["hosts"]["a2"] = {"ansible_host": "198.51.100.32", "dovecot_partition": "a"}


def proxies_beside_directors(inventory):
    inventory.groups["dovecot_directors"] = {
        "hosts": {"director1": {"ansible_host": "198.51.100.26"}, "director2": {"ansible_host": "198.51.100.27"}}
    }


def ldap(**fields):
    given = {
        "driver": "ldap",
        "uris": ["ldaps://198.51.100.61"],
        "base": "dc=example,dc=org",
        "home_server": "mailHost",
        **fields,
    }
    return variables(dovecot_user_databases=[{key: value for key, value in given.items() if value is not None}])


def pgsql(**fields):
    given = {
        "driver": "pgsql",
        "hosts": ["198.51.100.62"],
        "database": "mail",
        "user": "dovecot",
        "password": "secret",
        "home_server": "partition",
        **fields,
    }
    return variables(dovecot_user_databases=[{key: value for key, value in given.items() if value is not None}])


OWN_QUERIES = {
    "home_server": None,
    "password_query": "SELECT password, host, 'y' AS proxy FROM users WHERE name = '%u'",
    "user_query": "SELECT name AS user FROM users WHERE name = '%u'",
    "iterate_query": "SELECT name AS user FROM users",
}


PARTITIONED_REFUSALS = {
    "both forms at once": (
        both_forms_at_once,
        ["dovecot_implicit_proxies: holds a1, b1, c1 beside dovecot_proxies with proxy1, proxy2", "empty one of the two"],
    ),
    "a proxy that is a backend too": (
        a_proxy_that_is_a_backend_too,
        ["a1 is backend and proxy at once", "one of these groups only"],
    ),
    "a pair behind proxies": (
        a_pair_behind_proxies,
        ["dovecot_partition: partition 'a' has 2 nodes (a1, a2), but a proxy sends users to one address", "put directors"],
    ),
    "a SASL listener where any password is right": (
        variables(dovecot_settings={"service auth": {"inet_listener sasl": {"port": 12346}}}),
        [
            "dovecot_settings: service auth/inet_listener sasl of proxy1, proxy2 says OK to any password",
            "open relay",
            "there is one that judges, at dovecot_sasl_port",
        ],
    ),
    "proxies beside directors": (
        proxies_beside_directors,
        ["dovecot_proxies: proxy1, proxy2 beside the directors director1, director2", "use directors where"],
    ),
    "an unknown driver": (
        variables(dovecot_user_databases=[{"driver": "oracle"}]),
        ["dovecot_user_databases: item 1 has the driver 'oracle', which is unknown", "one of passwd_file, ldap, pgsql"],
    ),
    "a key that no driver has": (
        ldap(url="ldap://198.51.100.61"),
        ["dovecot_user_databases: ldap: 'url' is unknown there", "use auth_bind, base"],
    ),
    "keys that are no texts": (
        variables(dovecot_user_databases=[{"driver": "passwd_file", 1: "x", None: "x", "foo": "x"}]),
        ["dovecot_user_databases: passwd_file: '1' is unknown there", "'foo' is unknown there: use driver"],
    ),
    "a port in superscript": (
        pgsql(port="²"),
        ["dovecot_user_databases: item 1 has a wrong port: '²' is no port: write a number from 1 to 65535"],
    ),
    "a port of more digits than Python takes": (
        pgsql(port="9" * 5000),
        ["dovecot_user_databases: item 1 has a wrong port: '999", "is no port: write a number from 1 to 65535"],
    ),
    "addresses of a directory that are a number": (
        ldap(uris=636),
        ["dovecot_user_databases: ldap: uris: '636' is no list: write [636]"],
    ),
    "the authority of a directory with its key": (
        ldap(ca=COMBINED),
        ["dovecot_user_databases: ldap: ca: (value not shown) has a private key in it", "keep its key elsewhere"],
    ),
    "a filter without the user": (
        ldap(filter="(objectClass=inetOrgPerson)"),
        ["dovecot_user_databases: ldap: filter: '(objectClass=inetOrgPerson)' does not contain the user", "put %u"],
    ),
    "a query without the user": (
        pgsql(password_query="SELECT password, host FROM users", home_server=None),
        ["dovecot_user_databases: pgsql: password_query: 'SELECT password, host FROM users' does not contain the user"],
    ),
    "a query that does not tell the host": (
        pgsql(password_query="SELECT password FROM users WHERE name = '%u'", home_server=None),
        ["dovecot_user_databases: pgsql: password_query: returns no host, but the proxies need it"],
    ),
    "no iteration": (
        ldap(iterate_filter=""),
        ["dovecot_user_databases: ldap: iterate_filter: is empty", "nobody could list the users"],
    ),
    "STARTTLS": (
        ldap(uris=["ldap://198.51.100.61"]),
        ["dovecot_user_databases: ldap: uris: 'ldap://198.51.100.61' would have to be asked by STARTTLS", "use ldaps://"],
    ),
    "a part of three queries": (
        pgsql(password_query="SELECT password, host FROM users WHERE name = '%u'"),
        ["dovecot_user_databases: pgsql: password_query: given without user_query, iterate_query: give all three"],
    ),
    "a query of one's own that does not judge what a mail server asks": (
        pgsql(**OWN_QUERIES),
        [
            "dovecot_user_databases: pgsql: sasl_password_query: missing beside a password_query of your own",
            "or set dovecot_sasl_port: 0",
        ],
    ),
    "a query for mail servers with which any password is right": (
        pgsql(**OWN_QUERIES, sasl_password_query="SELECT 'y' AS nopassword, name AS user FROM users WHERE name = '%u'"),
        ["dovecot_user_databases: pgsql: sasl_password_query: returns nopassword", "open relay"],
    ),
    "a bind without its password": (
        ldap(bind_dn="cn=dovecot,dc=example,dc=org"),
        ["dovecot_user_databases: ldap: bind_password is missing", "cn=dovecot"],
    ),
    "a database without its password": (pgsql(password=None), ["dovecot_user_databases: pgsql: password is missing", "set it"]),
    "no home server": (
        ldap(home_server=None),
        ["dovecot_user_databases: ldap: home_server is missing, but there are the partitions a, b, c", "name the attribute"],
    ),
    "home servers of which one means no partition": (
        variables(dovecot_home_servers={"mail1": "a", "mail2": "b", "mail3": "z"}),
        ["dovecot_home_servers: 'mail3' means the partition 'z', which no backend has", "set it to one of a, b, c"],
    ),
    "a home server attribute without a value for one partition": (
        variables(dovecot_home_servers={"mail1": "a", "mail2": "b"}),
        ["dovecot_home_servers: no value maps to c, so nobody could have a home there", "add one"],
    ),
    "a master user without his secret": (
        variables(dovecot_proxy_login="master"),
        ["dovecot_proxy_master_password: is missing", "generate one"],
    ),
    "a master user with another secret at each reading": (
        variables(
            dovecot_proxy_login="master",
            dovecot_proxy_master_password="{{ lookup('ansible.builtin.password', '/dev/null chars=ascii_letters') }}",
        ),
        ["dovecot_proxy_master_password: (values not shown)", "all nodes share it"],
    ),
    "a partition in dovecot_users that has no node": (
        variables(dovecot_users=[user(partition="z")]),
        ["dovecot_users: zoe@example.org has the partition 'z', which no backend has"],
    ),
}


def shared_storage_that_is_replicated(inventory):
    inventory.groups["dovecot_replicated"] = {"hosts": {"mail1": {}, "mail2": {}}}


def a_backend_of_the_partition_that_has_its_own_storage(inventory):
    inventory.groups["dovecot_backends"]["hosts"] = {"mail3": {"ansible_host": "198.51.100.33", "dovecot_partition": "shared"}}


def a_director_that_shares_storage(inventory):
    inventory.groups["dovecot_backends"]["children"]["dovecot_shared_storage"]["hosts"]["director1"] = {}


def two_nfs_servers(inventory):
    inventory.groups["dovecot_nfs_servers"]["hosts"]["nfs2"] = {"ansible_host": "198.51.100.72"}


def an_nfs_server_that_is_a_director(inventory):
    inventory.groups["dovecot_nfs_servers"]["hosts"] = {"director1": {}}


def no_nfs_server(inventory):
    del inventory.groups["dovecot_nfs_servers"]


def two_sources_in_a_partition(inventory):
    hosts = inventory.groups["dovecot_backends"]["children"]["dovecot_shared_storage"]["hosts"]
    hosts["mail2"]["dovecot_shared_storage_source"] = "198.51.100.72:/srv/mail"


def two_partitions_in_one_folder(inventory):
    hosts = inventory.groups["dovecot_backends"]["children"]["dovecot_shared_storage"]["hosts"]
    hosts["mail2"]["dovecot_partition"] = "other"
    inventory.variables["dovecot_users"] = []


SHARED_REFUSALS = {
    "shared storage that is replicated": (
        shared_storage_that_is_replicated,
        ["dovecot_shared_storage: mail1 is in dovecot_replicated too", "take it out of one of the two groups"],
    ),
    "a backend of the partition that has its own storage": (
        a_backend_of_the_partition_that_has_its_own_storage,
        ["dovecot_shared_storage: of partition 'shared' it holds mail1, mail2, but not mail3", "add all nodes"],
    ),
    "shared storage on a director": (
        a_director_that_shares_storage,
        ["inventory groups: director1 is backend and director at once", "put it into one of these groups only"],
    ),
    "two NFS servers": (two_nfs_servers, ["dovecot_nfs_servers: holds nfs1, nfs2, but one server has the mail: leave one"]),
    "an NFS server that is a director": (
        an_nfs_server_that_is_a_director,
        ["dovecot_nfs_servers: director1 is server and director too", "put it into this group only"],
    ),
    "no source": (
        no_nfs_server,
        ["dovecot_shared_storage_source: missing for mail1, mail2: set it to what is mounted, as nfs.example.org:/srv/mail"],
    ),
    "two sources in a partition": (
        two_sources_in_a_partition,
        ["dovecot_shared_storage_source: differs within partition 'shared'", "'198.51.100.72:/srv/mail' on mail2", "set it"],
    ),
    "two partitions in one folder": (
        two_partitions_in_one_folder,
        ["'198.51.100.71:/srv/mail' would have the mail of partition 'shared' and of 'other': set another"],
    ),
    "no type": (
        variables(dovecot_shared_storage_type=""),
        ["dovecot_shared_storage_type: missing for mail1, mail2: set it to one of nfs, ocfs2, gfs2, glusterfs, cephfs"],
    ),
    "an unknown type": (
        variables(dovecot_shared_storage_type="smb"),
        ["dovecot_shared_storage_type: 'smb' of mail1, mail2 is unknown: set it to one of nfs"],
    ),
    "a soft mount": (
        variables(dovecot_shared_storage_mount_options=["nfsvers=4.2", "soft"]),
        ["dovecot_shared_storage_mount_options: 'soft' of mail1, mail2", "mail is lost: use hard"],
    ),
    "locks that stay on the node": (
        variables(dovecot_shared_storage_mount_options=["nfsvers=3", "local_lock=all"]),
        ["dovecot_shared_storage_mount_options: 'local_lock=all'", "indexes break: leave it out"],
    ),
    "options that are no list": (
        variables(dovecot_shared_storage_mount_options="hard,noatime"),
        ["dovecot_shared_storage_mount_options: 'hard,noatime' is no list: write one an item"],
    ),
    "an mdbox": (
        variables(dovecot_backend_mail_location="mdbox:~/mdbox"),
        ["dovecot_backend_mail_location: 'mdbox:~/mdbox' of mail1, mail2 on shared storage", "use sdbox:~/sdbox or maildir"],
    ),
    "the flags of a dbox on the node's own disk": (
        variables(dovecot_shared_storage_index_dir="/var/lib/indexes"),
        ["dovecot_shared_storage_index_dir: '/var/lib/indexes'", "the flags of a dbox are in its indexes alone", "use maildir"],
    ),
    "a lock method that there is not": (
        variables(dovecot_shared_storage_lock_method="dotlock"),
        ["dovecot_shared_storage_lock_method: 'dotlock' of mail1, mail2 is unknown: set it to fcntl or flock"],
    ),
    "a setting that breaks indexes": (
        variables(dovecot_settings={"mmap_disable": False}),
        ["dovecot_settings: mmap_disable (no) of mail1 breaks indexes on nfs behind directors: remove it, the role sets yes"],
    ),
    "a list for a setting that storage needs": (
        variables(dovecot_settings={"mmap_disable": ["a"]}),
        ["dovecot_settings: mmap_disable (['a']) of mail1 breaks indexes on nfs behind directors: remove it, the role sets yes"],
    ),
    "a lease that is too short": (
        variables(dovecot_nfs_server_lease_time=5),
        ["dovecot_nfs_server_lease_time: '5' of nfs1 is no number of seconds from 10 to 3600"],
    ),
    "an export that is everything": (
        variables(dovecot_nfs_server_export="/"),
        ["dovecot_nfs_server_export: '/' of nfs1 is no path of a folder", "write it as /srv/mail"],
    ),
}


def members_of(inventory):
    return inventory.groups["dovecot_backends"]["children"]["dovecot_active_passive"]["hosts"]


def an_active_node_alone(inventory):
    del members_of(inventory)["mail2"]


def two_passive_nodes(inventory):
    members_of(inventory)["mail3"] = {"ansible_host": "198.51.100.33", "lab_bmc": 6233}


def in_another_group_too(group):
    def spoil(inventory):
        inventory.groups[group] = {"hosts": {"mail1": {}, "mail2": {}}}

    return spoil


def on_one_node(**given):
    def spoil(inventory):
        members_of(inventory)["mail2"].update(given)

    return spoil


def active_passive(**given):
    return variables(**{f"dovecot_active_passive_{name}": value for name, value in given.items()})


def fencing(agent, **options):
    return active_passive(fencing={"agent": agent, "options": {"ip": "192.0.2.{{ lab_bmc - 6100 }}", **options}})


def messages(disks):
    return active_passive(fencing={"agent": "fence_sbd", "options": {"devices": disks}})


def one_fence_device_for_both(inventory):
    active_passive(fencing={"agent": "fence_ipmilan", "options": {"ip": "192.0.2.130"}})(inventory)


def fencing_on_one_node_only(inventory):
    on_one_node(dovecot_active_passive_fencing={"agent": "none", "accepted": ACCEPTED})(inventory)


def a_lun_without_fencing(inventory):
    active_passive(storage="lun", device="/dev/disk/by-id/wwn-0x5000c500a1b2c3d4")(inventory)
    active_passive(fencing={"agent": "none", "accepted": ACCEPTED})(inventory)


def two_active_passive_pairs(inventory):
    """Each with a service address of its own, which the test gives them."""
    inventory.groups["dovecot_backends"]["children"]["dovecot_active_passive"] = {
        "children": {
            f"pair_{name}": {
                "vars": {"dovecot_partition": name, "dovecot_active_passive_address": f"198.51.100.{address}/24"},
                "hosts": {
                    f"mail{number}": {"ansible_host": f"198.51.100.3{number}", "lab_bmc": 6230 + number} for number in numbers
                },
            }
            for name, address, numbers in (("a", 11, (1, 2)), ("b", 12, (3, 4)))
        }
    }
    inventory.variables["dovecot_users"] = [user(partition="a")]
    without_vip(inventory)


def without_vip(inventory):
    inventory.variables["dovecot_vip"] = ""


def two_pairs_with_one_address(inventory):
    two_active_passive_pairs(inventory)
    active_passive(address="198.51.100.11/24")(inventory)


def behind_directors(inventory):
    inventory.groups["dovecot_directors"] = {
        "hosts": {"director1": {"ansible_host": "198.51.100.26"}, "director2": {"ansible_host": "198.51.100.27"}}
    }
    inventory.groups["dovecot_backends"]["children"]["dovecot_active_passive"]["vars"].update(
        {"dovecot_active_passive_address": "198.51.100.11/24"}
    )
    without_vip(inventory)


def the_address_of_the_load_balancers(inventory):
    behind_directors(inventory)
    inventory.groups["dovecot_loadbalancers"] = {
        "hosts": {"lb1": {"ansible_host": "198.51.100.21"}, "lb2": {"ansible_host": "198.51.100.22"}}
    }
    variables(dovecot_vip="198.51.100.11/24")(inventory)


ACCEPTED = "both nodes may write to the mail at once and destroy it"
LOCATION = "dovecot_backend_mail_location"
ACTIVE_PASSIVE_REFUSALS = {
    "one node": (
        an_active_node_alone,
        ["dovecot_partition: partition 'pair' in dovecot_active_passive has 1 node (mail1), but exactly two are needed"],
    ),
    "three nodes": (
        two_passive_nodes,
        [
            "dovecot_partition: partition 'pair' in dovecot_active_passive has 3 nodes (mail1, mail2, mail3)",
            "add or remove nodes",
        ],
    ),
    "replication beside it": (
        in_another_group_too("dovecot_replicated"),
        ["dovecot_active_passive: mail1 is in dovecot_replicated too", "copied twice", "take it out of one of the two groups"],
    ),
    "shared storage beside it": (
        in_another_group_too("dovecot_shared_storage"),
        ["dovecot_active_passive: mail1 is in dovecot_shared_storage too", "only one of its nodes may mount its mail"],
    ),
    "no fencing": (
        active_passive(fencing={}),
        ["dovecot_active_passive_fencing: of mail1 is missing", "switches mail1 off", "{agent: fence_ipmilan, options:"],
    ),
    "no fencing without a word of what that means": (
        active_passive(fencing={"agent": "none"}),
        ["dovecot_active_passive_fencing: of mail1 is 'none': name an agent", f'{{agent: none, accepted: "{ACCEPTED}"}}'],
    ),
    "one fence device for both nodes": (
        one_fence_device_for_both,
        ["dovecot_active_passive_fencing: of mail1 and of mail2 is the same", "switch itself off", "its BMC's address"],
    ),
    "a fence device for one node only": (
        fencing_on_one_node_only,
        ["dovecot_active_passive_fencing: only one node of partition 'pair' can be switched off: set it for both"],
    ),
    "a fence device that takes the disk away": (
        fencing("fence_scsi"),
        ["dovecot_active_passive_fencing: fence_scsi of mail1 takes the disk away", "use an agent that switches the node off"],
    ),
    "a LUN that two nodes may mount": (
        a_lun_without_fencing,
        [
            "dovecot_active_passive_fencing: of mail1 is 'none', but nothing else keeps two nodes from mounting one LUN",
            "name an agent",
        ],
    ),
    "fencing by a disk that is not named": (
        fencing("fence_sbd"),
        ["dovecot_active_passive_fencing: fence_sbd of mail1 has no disk", "as {devices: /dev/disk/by-id/...}"],
    ),
    "fencing by a disk whose name may change": (
        messages("/dev/sdb"),
        ["fence_sbd of mail1: '/dev/sdb' is a name that may be another disk's after a restart: use the one in /dev/disk/by-id"],
    ),
    "fencing by a word": (messages("san"), ["fence_sbd of mail1: 'san' is no path of a device: write it as /dev/disk/by-id"]),
    "fencing by the disk with the mail": (
        messages("/dev/lab/mail"),
        ["fence_sbd of mail1: '/dev/lab/mail' is the disk with the mail (dovecot_active_passive_device)"],
    ),
    "fencing by four disks": (
        messages("/dev/disk/by-id/1, /dev/disk/by-id/2,/dev/disk/by-id/3,/dev/disk/by-id/4"),
        ["fence_sbd of mail1 has the disks /dev/disk/by-id/1, /dev/disk/by-id/2", "sbd takes one to 3, each another"],
    ),
    "fencing by one disk twice": (
        messages("/dev/disk/by-id/1,/dev/disk/by-id/1"),
        ["fence_sbd of mail1 has the disks /dev/disk/by-id/1, /dev/disk/by-id/1: sbd takes one to 3, each another"],
    ),
    "fencing by messages that the other does not read": (
        messages("/dev/disk/by-id/{{ inventory_hostname }}"),
        ["dovecot_active_passive_fencing: mail1 and mail2 of partition 'pair' differ", "give both the same disks"],
    ),
    "a watchdog that is no device": (
        active_passive(watchdog="softdog"),
        ["dovecot_active_passive_watchdog: 'softdog' is no path of a device: write it as /dev/watchdog"],
    ),
    "a watchdog that is too quick": (
        active_passive(watchdog_timeout=1),
        ["dovecot_active_passive_watchdog_timeout: '1' is no number from 5 to 120: whole seconds"],
    ),
    "an agent that is none": (
        fencing("ipmilan; reboot"),
        ["dovecot_active_passive_fencing: the agent 'ipmilan; reboot' of mail1 is no name", "write it as fence_ipmilan"],
    ),
    "an option of two lines": (
        fencing("fence_ipmilan", password="a\nb"),
        ["dovecot_active_passive_fencing: the option 'password' of mail1 has no name or value that an agent could take"],
    ),
    "fencing that is a word": (active_passive(fencing="none"), ["dovecot_active_passive_fencing: is a text, no mapping"]),
    "no device": (
        active_passive(device=""),
        ["dovecot_active_passive_device: of partition 'pair' is missing", "name the volume of each node that DRBD uses"],
    ),
    "a device that is none": (
        active_passive(device="/srv/disk.img"),
        [
            "dovecot_active_passive_device: '/srv/disk.img' of partition 'pair' is no path of a device",
            "write it as /dev/vg0/mail",
        ],
    ),
    "a LUN by a name that changes": (
        active_passive(storage="lun", device="/dev/sda"),
        ["dovecot_active_passive_device: '/dev/sda' of partition 'pair' is a name that may be another disk's", "/dev/disk/by-id"],
    ),
    "devices that differ": (
        on_one_node(dovecot_active_passive_device="/dev/other/mail"),
        ["dovecot_active_passive_device: differs within partition 'pair'", "'/dev/other/mail' on mail2", "set it once"],
    ),
    "no storage": (active_passive(storage=""), ["dovecot_active_passive_storage: ", "set it to drbd or lun"]),
    "storage that there is not": (
        active_passive(storage="nfs"),
        ["dovecot_active_passive_storage: 'nfs'", "is unknown: set it to drbd or lun"],
    ),
    "no service address": (
        without_vip,
        ["dovecot_active_passive_address: of partition 'pair' is missing: set dovecot_vip to the service address"],
    ),
    "a service address outside of the nodes' network": (
        active_passive(address="203.0.113.10/24"),
        ["dovecot_active_passive_address: '203.0.113.10/24' of partition 'pair' is in the network 203.0.113.0/24", "correct one"],
    ),
    "a service address that is a node's": (
        active_passive(address="198.51.100.32/24"),
        ["dovecot_active_passive_address: 198.51.100.32 of partition 'pair' is the address of mail2 too", "that no node has"],
    ),
    "a service address of IPv6": (
        active_passive(address="2001:db8::10/64"),
        ["dovecot_active_passive_address: '2001:db8::10/64' of partition 'pair' is no IPv4 address", "write it as 192.0.2.10/24"],
    ),
    "two pairs with one service address": (
        two_pairs_with_one_address,
        ["dovecot_active_passive_address: 198.51.100.11 is the address of partition 'a' and of 'b': give each its own"],
    ),
    "the service address of the load balancers": (
        the_address_of_the_load_balancers,
        ["dovecot_active_passive_address: '198.51.100.11/24' of partition 'pair' is dovecot_vip, which lb1, lb2 hold"],
    ),
    "a second network for one node only": (
        on_one_node(dovecot_active_passive_second_address="192.0.2.32"),
        ["dovecot_active_passive_second_address: mail2 has one, mail1 has none: set it for both, or for neither"],
    ),
    "a second network that is the first": (
        on_one_node(dovecot_active_passive_second_address="198.51.100.32"),
        ["dovecot_active_passive_second_address: 198.51.100.32 of mail2 is a dovecot_address already: set one of another"],
    ),
    "a short secret": (
        active_passive(secret="tooshort"),
        ["dovecot_active_passive_secret: has 8 characters, at least 32 are needed: generate one"],
    ),
    "mail outside of what is mounted": (
        variables(dovecot_backend_mail_location="mdbox:/srv/mail/%u"),
        [f"{LOCATION}: 'mdbox:/srv/mail/%u' with dovecot_active_passive: '/srv/mail/%u' is not below dovecot_mail_home"],
    ),
    "indexes outside of what is mounted": (
        variables(dovecot_backend_mail_location="mdbox:~/mdbox:INDEX=/var/vmail/../indexes/%u"),
        [f"{LOCATION}: ", "'/var/vmail/../indexes/%u' is not below dovecot_mail_home (/var/vmail)", "move it below"],
    ),
    "old mail outside of what is mounted": (
        variables(dovecot_backend_mail_location="mdbox:~/mdbox:ALT=/var/vmail2/%u"),
        [f"{LOCATION}: ", "'/var/vmail2/%u' is not below dovecot_mail_home (/var/vmail)", "the other node would not have it"],
    ),
    "a namespace outside of what is mounted": (
        variables(dovecot_backend_namespaces=[{"name": "archive", "prefix": "Archive/", "location": "mdbox:/srv/archive/%u"}]),
        ["dovecot_backend_namespaces: 'archive' has 'mdbox:/srv/archive/%u'", "'/srv/archive/%u' is not below"],
    ),
}


def nodes_that_cannot_be_switched_off(inventory):
    active_passive(fencing={"agent": "none", "accepted": ACCEPTED})(inventory)


def mail_below_what_is_mounted(inventory):
    variables(
        dovecot_backend_mail_location="mdbox:~/mdbox:INDEX=/var/vmail/indexes/%u:VOLATILEDIR=/run/volatile/%u",
        dovecot_backend_namespaces=[{"name": "archive", "prefix": "Archive/", "location": "mdbox:/var/vmail/archive/%u"}],
    )(inventory)


@pytest.mark.parametrize(
    "changed",
    [
        lambda _inventory: None,
        behind_directors,
        two_active_passive_pairs,
        nodes_that_cannot_be_switched_off,
        mail_below_what_is_mounted,
    ],
)
def test_of_active_passive_pairs_is_accepted(changed, tmp_path):
    inventory = Inventory(tmp_path, "active_passive")
    changed(inventory)

    assert inventory.refusal() == ""


def test_the_options_of_a_fence_device_are_not_printed(tmp_path):
    inventory = Inventory(tmp_path, "active_passive")
    fencing("fence_ipmilan", password="secret-of-the-bmc\n")(inventory)

    refusal = inventory.refusal()

    assert "the option 'password'" in refusal
    assert "secret-of-the-bmc" not in refusal


def test_of_addresses_that_are_no_list_nothing_more_is_said(tmp_path):
    inventory = Inventory(tmp_path, "partitioned_dedicated")
    ldap(uris="ldaps://198.51.100.61")(inventory)

    refusal = inventory.refusal()

    assert refusal.startswith("dovecot_user_databases: ldap: uris: 'ldaps://198.51.100.61' is no list: write [ldaps://")
    assert refusal.count("dovecot_user_databases: ") == 1


def test_a_number_is_as_good_as_its_text_for_a_setting_that_storage_needs(tmp_path):
    inventory = Inventory(tmp_path, "shared_storage_simple")
    inventory.variables["dovecot_settings"] = {"mail_cache_min_mail_count": 4294967295}

    assert inventory.refusal() == ""


def secrets_of_backends(value):
    def spoil(inventory):
        variables(dovecot_proxy_login="master")(inventory)
        inventory.groups["dovecot_backends"].setdefault("vars", {})["dovecot_proxy_master_password"] = value
        inventory.groups["dovecot_proxies"].setdefault("vars", {})["dovecot_proxy_master_password"] = "0123456789abcdef"

    return spoil


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (["0123456789abcdef"], "(value not shown) of a1, b1, c1 is a list, no text: write it in quotes"),
        (1234567890123456, "(value not shown) of a1, b1, c1 is a number to YAML"),
        ("{{ nope }}", "of a1, b1, c1 cannot be read: it needs 'nope', which is not defined"),
    ],
)
def test_what_backends_have_as_the_secret_of_the_proxies_is_no_text(value, words, tmp_path):
    assert_refused(
        Inventory(tmp_path, "partitioned_dedicated"), secrets_of_backends(value), [f"dovecot_proxy_master_password: {words}"]
    )


def test_glusterfs_needs_directors(tmp_path):
    inventory = Inventory(tmp_path, "shared_storage_simple")
    assert_refused(
        inventory,
        variables(dovecot_shared_storage_type="glusterfs", dovecot_shared_storage_source="198.51.100.31:/mail"),
        ["dovecot_shared_storage_type: 'glusterfs' of mail1, mail2 without directors", "put directors before the backends"],
    )


def test_a_maildir_needs_directors(tmp_path):
    assert_refused(
        Inventory(tmp_path, "shared_storage_simple"),
        variables(dovecot_backend_mail_location="maildir:~/Maildir"),
        ["dovecot_backend_mail_location: 'maildir:~/Maildir' of mail1, mail2 without directors", "use sdbox:~/sdbox"],
    )


@pytest.mark.parametrize("variable", ["index_dir", "volatile_dir"])
def test_without_directors_nothing_is_on_the_nodes_own_disk(variable, tmp_path):
    inventory = Inventory(tmp_path, "shared_storage_simple")
    assert_refused(
        inventory,
        variables(**{f"dovecot_shared_storage_{variable}": "/dev/shm/dovecot"}),
        [f"dovecot_shared_storage_{variable}: '/dev/shm/dovecot' of mail1, mail2 without directors", "put directors before"],
    )


def test_two_partitions_behind_load_balancers_need_directors(tmp_path):
    inventory = Inventory(tmp_path, "replicated_pair_lb")
    assert_refused(inventory, another_pair, ["behind the load balancers there are 2 partitions"])


OF_VARIANTS = {
    "replicated_pair": PAIR_REFUSALS,
    "partitioned_dedicated": PARTITIONED_REFUSALS,
    "shared_storage": SHARED_REFUSALS,
    "active_passive": ACTIVE_PASSIVE_REFUSALS,
}


@pytest.mark.parametrize(("variant", "case"), [(variant, case) for variant, cases in OF_VARIANTS.items() for case in cases])
def test_of_a_variant_is_refused(variant, case, tmp_path):
    assert_refused(Inventory(tmp_path, variant), *OF_VARIANTS[variant][case])


@pytest.mark.parametrize("case", REFUSALS)
def test_is_refused(case, inventory):
    assert_refused(inventory, *REFUSALS[case])


def test_a_plain_password_is_not_printed(inventory):
    inventory.variables["dovecot_users"] = [user(password="correct-horse-battery")]

    assert "correct-horse-battery" not in inventory.deploy()


def test_secrets_that_differ_are_not_printed(inventory):
    another_secret_on_one_node(inventory)

    assert "another-secret-of-32-characters" not in inventory.deploy()


def test_all_mistakes_are_told_at_once_and_before_any_node_was_touched(inventory):
    single_director(inventory)
    one_node_in_partition(inventory)

    output = inventory.deploy()

    assert "The inventory cannot be deployed, nothing was changed" in output
    assert not inventory.ssh_was_started.exists(), "a node was connected to before the refusal"
    assert "dovecot_directors: director1 is the only one" in output
    assert "dovecot_partition: partition 'a'" in output


@pytest.mark.parametrize(
    "allowed",
    [
        {"dovecot_director_allow_single": True},
        {"dovecot_backend_mail_location": "maildir:~/Maildir", "dovecot_replication_allow_maildir": True},
    ],
)
def test_what_is_allowed_explicitly_goes_on_to_the_nodes(allowed, inventory):
    if "dovecot_director_allow_single" in allowed:
        single_director(inventory)
    inventory.variables.update(allowed)

    output = inventory.deploy()

    assert "The inventory cannot be deployed" not in output
    assert inventory.ssh_was_started.exists()
