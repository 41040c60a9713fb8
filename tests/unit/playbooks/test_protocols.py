"""Of a protocol that a cluster does not serve nothing is left, on whatever node; the rest is as it was."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml
from on_controller import judged
from rendering import rendered
from test_refusals import Inventory

CHECKOUT = Path(__file__).resolve().parents[3]
VARIANTS = sorted(path.name for path in (CHECKOUT / "inventories").iterdir())
# What tells of a protocol in a file: its services, programs and all ports that it has by default.
TRACES = {
    "imap": r"\bimaps?(-login)?\b|\b(10|11)?(143|993)\b",
    "pop3": r"\bpop3s?(-login)?\b|\b(10|11)?(110|995)\b",
    # the plugin for deliveries, and where scripts are, are none of ManageSieve's
    "sieve": r"managesieve|health_sieve|health-sieve|listen sieve|\bprotocols = .*sieve|\b(4190|14190|11190)\b",
}
# Words for whoever reads them, a priority, and what keeps a full disk from clients who are not there.
NOT_MEANT = re.compile(r'^\s*#[^\n]*$|""".*?"""|priority \d+|imap:::::::userdb_quota2_rule', re.MULTILINE | re.DOTALL)


@pytest.fixture
def cluster(tmp_path):
    """A copy of an example that serves these protocols."""

    def make(variant, **variables):
        inventory = Inventory(tmp_path / str(len(list(tmp_path.iterdir()))), variant)
        (inventory.folder / "group_vars/dovecot_cluster").mkdir(parents=True, exist_ok=True)
        (inventory.folder / "group_vars/dovecot_cluster/zz.yml").write_text(yaml.safe_dump(variables))
        return inventory.folder / "hosts.yml"

    return make


def traces(node, protocol):
    for path, text in node.files.items():
        if path.endswith("/check-dovecot"):  # it knows every protocol, and is told which
            continue
        for found in re.finditer(TRACES[protocol], NOT_MEANT.sub("", text)):
            yield node.name, path, found.group()


@pytest.mark.parametrize(
    ("variant", "protocols"),
    [
        *((variant, ["imap", "lmtp"]) for variant in VARIANTS),
        *((variant, ["lmtp", "pop3"]) for variant in ("ideal", "partitioned_implicit", "replicated_pair")),
        ("ideal", ["imap", "lmtp", "sieve"]),
    ],
)
def test_what_is_left_out_has_no_trace_on_any_node(variant, protocols, cluster):
    for node in rendered(cluster(variant, dovecot_protocols=protocols)).values():
        for protocol in TRACES:
            assert protocol in protocols or not list(traces(node, protocol))
        for unit in node.units:
            for services in (unit.get("services", {}), unit.get("proxy_protocol_services", {})):
                assert {service.removesuffix("s") for service in services} <= set(protocols)
        packages = {"imap": "dovecot-imapd", "pop3": "dovecot-pop3d", "sieve": "dovecot-managesieved"}
        assert not {packages[protocol] for protocol in packages if protocol not in protocols} & set(node.packages)
        assert "dovecot-core" not in node.packages or {"dovecot-sieve", "dovecot-lmtpd"} <= set(node.packages)


def test_traces_are_found_where_all_is_served(cluster):
    nodes = rendered(cluster("ideal"))
    for protocol in TRACES:
        for name in ("lb1", "director1", "a1"):
            assert list(traces(nodes[name], protocol)), (name, protocol)


def test_a_cluster_with_pop3_alone_is_watched_by_it(cluster):
    nodes = rendered(cluster("ideal", dovecot_protocols=["pop3", "lmtp"]))
    monitor = json.loads(nodes["director1"].files["/etc/mailcluster-dovecot/monitor.json"])
    assert (monitor["port"], monitor["sessions"], monitor["deliveries"]) == (11110, [110], [24])
    assert (monitor["farewell"], monitor["greeting"]) == ("QUIT", "+OK")
    assert '/check-haproxy pop3"' in nodes["lb1"].files["/etc/keepalived/keepalived.conf"]
    assert "port = 11110" in nodes["a1"].dovecot and "health_lmtp" not in nodes["a1"].dovecot
    assert re.findall(r"^listen (\w+)", nodes["lb1"].files["/etc/haproxy/haproxy.cfg"], re.MULTILINE)[:3] == [
        "pop3",
        "pop3s",
        "lmtp",
    ]


def test_a_pair_with_pop3_alone_holds_the_vip_by_it(cluster):
    node = rendered(cluster("replicated_pair", dovecot_protocols=["pop3", "lmtp"]))["mail1"]
    assert "/check-dovecot pop3 11110 /" in node.files["/etc/keepalived/keepalived.conf"]


def test_the_order_has_no_meaning_and_nothing_is_protocol_enough_for_a_node_that_is_filled(cluster):
    inventory = cluster("replicated_pair", dovecot_protocols=["sieve", "lmtp", "pop3", "imap"])
    assert "protocols = imap pop3 lmtp sieve\n" in rendered(inventory)["mail1"].dovecot
    assert "protocols = \n" in rendered(inventory, __dovecot_without_clients=True)["mail1"].dovecot


# --- What is refused

WRONG = {
    "imaps": (["imaps", "lmtp"], "item 1 'imaps' is unknown: use imap, pop3, lmtp, sieve; did you mean imap?"),
    "managesieve": (
        ["imap", "lmtp", "managesieve"],
        "item 3 'managesieve' is unknown: use imap, pop3, lmtp, sieve; did you mean sieve?",
    ),
    "capitals": (["IMAP", "lmtp"], "item 1 'IMAP' is unknown: use imap, pop3, lmtp, sieve; did you mean imap?"),
    "submission": (["imap", "lmtp", "submission"], "item 3 'submission' is unknown: use imap, pop3, lmtp, sieve"),
    "twice": (["imap", "lmtp", "imap"], "item 3 'imap' is there already: remove it"),
    "no lmtp": (["imap", "sieve"], "'imap, sieve' lacks lmtp, by which all mail comes in: add it"),
    "nothing to read by": (["lmtp", "sieve"], "'lmtp, sieve' has neither imap nor pop3, by which mail is read: add one of them"),
    "a text": ("imap lmtp", "'imap lmtp' is no list: write one an item, each after '- '"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_be_served_is_refused_in_one_line(case, cluster):
    protocols, words = WRONG[case]
    assert judged(cluster("ideal", dovecot_protocols=protocols))[1] == [f"dovecot_protocols: {words}"]


def test_all_nodes_serve_the_same(cluster):
    inventory = cluster("ideal")
    (inventory.parent / "group_vars/dovecot_backends.yml").write_text("dovecot_protocols: [imap, lmtp]\n")
    refused = judged(inventory)[1]
    assert len(refused) == 1 and refused[0].startswith("dovecot_protocols: is ") and "they must agree" in refused[0]


@pytest.mark.parametrize("port", (0, False, None))
def test_who_leaves_a_service_out_by_its_port_is_told_how(port, cluster):
    for variable in ("dovecot_ports", "dovecot_proxy_protocol_ports", "dovecot_health_ports"):
        refused = judged(cluster("ideal", **{variable: {"pop3": port}}))[1]
        assert len(refused) == 1, refused
        assert refused[0].startswith(f"{variable}: ")
        assert refused[0].endswith("; pop3 and pop3s are left out by a dovecot_protocols without pop3")


def test_a_port_that_nobody_listens_at_may_be_another_s(cluster):
    assert judged(cluster("ideal", dovecot_protocols=["imap", "lmtp"], dovecot_sasl_port=110))[1] == []
    assert judged(cluster("ideal", dovecot_sasl_port=110))[1] != []


def test_whatever_is_empty_is_the_default(cluster):
    assert "protocols = imap pop3 lmtp sieve\n" in rendered(cluster("director", dovecot_protocols=None))["a1"].dovecot
