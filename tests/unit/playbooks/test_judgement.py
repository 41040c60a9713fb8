"""Preflight judges whole inventories as they are meant, and leaves the examples as they are written."""

from __future__ import annotations

import datetime
import json
import random
import re
import tarfile
from pathlib import Path

import pytest
import yaml
from on_controller import judged
from test_refusals import Inventory

from ansible_collections.mailcluster.dovecot.plugins.plugin_utils import (
    _database_checks,
    _meanings,
    _setting_checks,
    _specification,
    _storage,
)

CHECKOUT = Path(__file__).resolve().parents[3]
EXAMPLES = sorted(path.name for path in (CHECKOUT / "inventories").iterdir())
SPOILT = {
    "a misspelt variable": ({"dovecot_backend_wieght": 5}, "dovecot_backend_wieght", "did you mean dovecot_backend_weight?"),
    "a misspelt key of a user": (
        {"dovecot_users": [{"name": "a@example.org", "pasword": "x"}]},
        "has 'pasword'",
        "did you mean password?",
    ),
    "a text where a number belongs": ({"dovecot_mail_uid": "vmail"}, "dovecot_mail_uid: 'vmail'", "no whole number"),
    "a time of which YAML made a number": ({"dovecot_backend_purge_time": 12600}, "dovecot_backend_purge_time", "in quotes"),
    "an undefined variable": ({"dovecot_mail_home": "{{ no_such }}"}, "dovecot_mail_home: cannot be read", "'no_such'"),
    "a setting that a variable has": (
        {"dovecot_settings": {"mail_location": "maildir:~/M"}},
        "dovecot_settings: mail_location",
        "dovecot_backend_mail_location",
    ),
}


@pytest.fixture
def example(tmp_path):
    """A copy of an example with variables of its own for the whole cluster."""

    def make(variant="replicated_pair", **variables):
        inventory = Inventory(tmp_path / str(len(list(tmp_path.iterdir()))), variant)
        folder = inventory.folder / "group_vars/dovecot_cluster"
        (folder / "zz.yml").write_text(yaml.safe_dump(variables))
        return inventory.folder / "hosts.yml"

    return make


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_is_right_and_nothing_of_it_is_normalised(name, example):
    result, refused = judged(example(name))
    assert refused == []
    assert result["values"] == {}


@pytest.mark.parametrize("case", SPOILT)
def test_a_mistake_is_one_line_with_its_variable_and_the_remedy(case, example):
    variables, *expected = SPOILT[case]
    result, refused = judged(example(**variables))
    assert len([line for line in refused if all(words in line for words in expected)]) == 1, refused


def test_values_in_another_form_are_normalised_for_each_host(example):
    result, refused = judged(
        example(dovecot_firewall="no", dovecot_sessions="2000", dovecot_ports={"lmtp": "2424"}, dovecot_settings=None)
    )
    assert refused == []
    values = result["values"]["mail2"]
    assert values["dovecot_firewall"] is False
    assert (values["dovecot_sessions"], values["dovecot_settings"]) == (2000, {})
    assert (values["dovecot_ports"]["lmtp"], values["dovecot_ports"]["imap"]) == (2424, 143)


def test_for_an_empty_key_roles_get_the_default_of_the_host(example):
    result, refused = judged(example("director", dovecot_sessions=None))
    assert refused == []
    assert {name: host["dovecot_sessions"] for name, host in result["values"].items()} == {
        **dict.fromkeys(("director1", "director2", "director3"), 10000),
        **dict.fromkeys(("a1", "a2", "b1", "b2"), 5000),
    }


def test_a_secret_of_the_proxies_that_the_backends_are_given_is_one_for_all(example):
    result, refused = judged(
        example("partitioned_dedicated", dovecot_proxy_login="master", dovecot_proxy_master_password="0123456789abcdef")
    )
    assert refused == []
    assert "dovecot_proxy_master_password" in result["secrets"]


def test_own_variables_are_those_that_a_template_names_or_that_are_listed(example):
    assert judged(example(dovecot_site="x", dovecot_mail_user="{{ 'vmail' if dovecot_site else '' }}"))[1] == []
    assert judged(example(dovecot_site="x", dovecot_own_variables=["dovecot_site"]))[1] == []
    assert "dovecot_site" in judged(example(dovecot_site="x"))[1][0]


INI = """
[all]
mx1 ansible_host=198.51.100.31 place=north
mx2 ansible_host=198.51.100.32 place=north
[all:vars]
dovecot_firewall=no
dovecot_sessions=2000
"""
CONSTRUCTED = {
    "plugin": "ansible.builtin.constructed",
    "strict": True,
    "groups": dict.fromkeys(("dovecot_cluster", "dovecot_backends", "dovecot_replicated"), "inventory_hostname.startswith('mx')"),
    "compose": {"dovecot_partition": "place"},
}


def test_groups_may_be_constructed_from_variables_of_an_ini_inventory(example):
    folder = example().parent
    (folder / "hosts.yml").unlink()
    (folder / "hosts.ini").write_text(INI)
    (folder / "zz_constructed.yml").write_text(yaml.safe_dump(CONSTRUCTED))
    users = [{"name": "alice@example.org", "password": "{PLAIN-MD5}" + 32 * "a"}]
    (folder / "group_vars/dovecot_cluster/zz.yml").write_text(yaml.safe_dump({"dovecot_users": users}))
    result, refused = judged(folder)
    assert refused == []
    assert result["topology"]["partitions"] == {"north": ["mx1", "mx2"]}
    assert result["values"]["mx2"]["dovecot_firewall"] is False


INTERNAL = re.compile(r"Error\b|Exception|has no attribute|not iterable|unhashable|__dovecot|_Ansible|<class")
NAMES = sorted(set().union(*_specification.specifications().values()))
ODDITIES = (
    None,
    True,
    False,
    0,
    -1,
    1.5,
    "",
    "x",
    " ",
    "yes",
    "a b",
    "x\ny",
    "#",
    "é",
    "%u",
    "::1",
    "{{ nope }}",
    "{{ 1 / 0 }}",
    "{{ 10**5000 }}",
    [],
    ["x"],
    [None],
    [{}],
    [["x"]],
    [{"name": 1}],
    [{"driver": ["x"]}],
    [{"driver": "ldap", "uris": [["x"]]}],
    {},
    {"a": 1},
    {"x": None},
    {1: 2},
    {"imap": []},
    datetime.date(2026, 1, 1),
    10**400,
    -(10**400),
    float("inf"),
    float("nan"),
    "inf",
    "1e400",
    "1e999999999",
    "9" * 5000,
    "9" * 5000 + "s",
    "²",
    "١٢",
    "5 ſ",
    ["²"],
    [10**400],
    [["x"], {"x": ["y"]}],
    [{"name": ["x"]}],
    [{"name": {"x": 1}}],
    [{1: 2, "x": 3, None: 4}],
    {"x": ["y"]},
    {"x": {"y": ["z"]}},
    {1: {2: [3]}, "x": {}},
    {2: 3, "x": 3, None: 4, True: 5},
)
# All that some check looks at by name.
SETTINGS = (
    *_setting_checks.OWNED,
    *_setting_checks.DERIVED,
    *_setting_checks.ADDED_TO,
    *_setting_checks.MUST_BE_ON,
    *_setting_checks.FIXED,
    *_storage.settings("nfs", False, "flock"),
    "mail_replica",
    "quota",
    "replication_sync_timeout",
)


def within(odd):
    """Variables of the right type with something odd in them, in the place of each value, and as a key."""
    keys = {} if isinstance(odd, (list, dict)) else {odd: odd}
    tree = {**dict.fromkeys(SETTINGS, odd), **keys}
    user = dict.fromkeys(("name", "password", "partition", "quota", "noreplicate"), odd)
    return {
        "dovecot_settings": {
            **tree,
            "plugin": tree,
            "service auth": {"inet_listener x": odd, "x": [odd], 1: {2: 3}, **keys},
            "service x": [{"user": odd, **keys}, odd],
        },
        "dovecot_user_databases": [
            *({**dict.fromkeys(known, odd), **keys, "driver": driver} for driver, known in _database_checks.KEYS.items()),
            {"driver": "ldap", "uris": [odd], "x": odd, 1: odd, None: odd},
            {"driver": "pgsql", "hosts": [odd]},
        ],
        "dovecot_backend_namespaces": [{**dict.fromkeys(_meanings.NAMESPACE_KEYS, odd), **keys}, {"name": odd}, odd],
        "dovecot_users": [{**user, **keys}, {**user, "name": "al@example.org"}, odd],
        "dovecot_home_servers": {"a": odd, **keys},
        "dovecot_ports": {"imap": odd, **keys},
        "dovecot_protocol_mail_plugins": {"imap": odd, "lmtp": [odd], **keys},
        **dict.fromkeys(LISTS, [odd]),
    }


LISTS = (
    "dovecot_protocols",
    "dovecot_mta_networks",
    "dovecot_own_variables",
    "dovecot_mail_plugins",
    "dovecot_extra_packages",
    "dovecot_shared_storage_mount_options",
)


@pytest.mark.parametrize("variant", ["ideal", "partitioned_dedicated", "shared_storage"])
def test_whatever_a_variable_is_the_outcome_is_a_refusal_that_names_it_or_a_deployment(variant, example):
    inventory, chance = example(variant), random.Random(variant)
    for _time in range(30):
        name, value = chance.choice(NAMES), chance.choice(ODDITIES)
        (inventory.parent / "group_vars/dovecot_cluster/zz.yml").write_text(yaml.safe_dump({name: value}))
        result, refused = judged(inventory)
        assert result or any(name in line for line in refused), (name, value, refused)
        assert not [line for line in refused if INTERNAL.search(line)], (name, value, refused)


@pytest.mark.parametrize("variant", ["ideal", "partitioned_dedicated", "shared_storage"])
def test_whatever_all_variables_are_at_once_the_outcome_is_told_in_words_for_people(variant, example):
    inventory = example(variant)
    for odd in ODDITIES:
        for variables in (dict.fromkeys(NAMES, odd), within(odd)):
            (inventory.parent / "group_vars/dovecot_cluster/zz.yml").write_text(yaml.dump(variables, Dumper=Plain))
            result, refused = judged(inventory)
            assert result or refused, odd
            assert not [line for line in refused if INTERNAL.search(line)], (odd, refused)


class Plain(yaml.SafeDumper):
    """Writes a value again where it is there again."""

    def ignore_aliases(self, _data):
        return True


# --- Odd inventories, where they are beside the checkout

ODD = CHECKOUT.parent / "shared/odd-inventories"
# What is judged otherwise than the index has it, and why.
EMPTY = "an empty key is its default"
TEXT = "the text of a boolean is a boolean"
IPV6 = "nodes reach each other by IPv4 until there is a release for both"
OTHERWISE = {
    "c06-mta-null": EMPTY,
    "c07-settings-null": EMPTY,
    "c09-namespaces-null": EMPTY,
    "c10-databases-null": EMPTY,
    "c26-weight-null": EMPTY,
    "l30-lease-null": EMPTY,
    "c12-ports-partial": "a part of a mapping is completed",
    "c25-monitor-no": TEXT,
    "j20-ini-firewall": TEXT,
    "k01-ldap-tls-no": TEXT,
    "k01-ldap-tls-verify-no": TEXT,
    "k02-sql-tls-false-string": TEXT,
    "k10-mysql-tls-off-string": TEXT,
    "g06-der": "the file is named by a warning of Ansible's, which is not seen here",
    "d14-v6-ideal": IPV6,
    "d16-v6-dedicated": IPV6,
    "d19-v6-spelling": IPV6,
}


def odd():
    if not (ODD / "index.json").exists():
        return []
    # the others are about how a playbook is called
    return [
        case
        for case in json.loads((ODD / "index.json").read_text())
        if not case["env"] and case["args"][:1] in ([], ["-e"]) and case["name"] not in OTHERWISE
    ]


@pytest.fixture(scope="module")
def odd_inventories(tmp_path_factory):
    folder = tmp_path_factory.mktemp("odd")
    with tarfile.open(ODD / "cases.tar.xz") as archive:
        archive.extractall(folder)
    return folder


@pytest.mark.parametrize("case", odd(), ids=lambda case: case["name"])
def test_an_odd_inventory_is_judged_as_it_is_meant(case, odd_inventories):
    inventory = odd_inventories / case["name"] / case["inventory"]
    result, refused = judged(inventory, [word.replace("@HERE@", str(ODD)) for word in case["args"][1:]])
    if case["expected"] == "accept":
        assert refused == []
    else:
        assert refused
        assert all(words in " ".join(refused) for words in case["must_name"]), refused
