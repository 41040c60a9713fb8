"""Nodes that cannot be deployed, as node_info found them."""

from __future__ import annotations

from ansible_collections.mailcluster.dovecot.plugins.plugin_utils import _node_checks


def node(**found):
    return {
        "dovecot_version": "2.3.19.1",
        "distribution": "Debian GNU/Linux 12 (bookworm)",
        "hostname": "a1",
        "address": "198.51.100.31",
        "address_interface": "eth0",
        "addresses": ["198.51.100.31"],
        "filling": None,
        "mounted_by_hand": None,
        "secrets": {},
        **found,
    }


def test_a_debian_12_node_passes():
    assert _node_checks.problems({"a1": node()}) == []


def test_dovecot_2_4_is_refused_by_name_of_what_is_missing():
    (sentence,) = _node_checks.problems({"a1": node(dovecot_version="2.4.1", distribution="Debian GNU/Linux 13 (trixie)")})
    assert "a1: Dovecot 2.4.1" in sentence and "neither director nor replicator" in sentence


def test_a_system_without_dovecot_is_refused():
    (sentence,) = _node_checks.problems({"a1": node(dovecot_version=None)})
    assert "offers no dovecot-core" in sentence


def test_cloned_nodes_with_one_host_name_are_refused():
    (sentence,) = _node_checks.problems({"a1": node(), "a2": node(hostname="A1")})
    assert "a2: its host name 'A1' is that of a1 too" in sentence


def test_an_address_that_the_node_does_not_have_is_refused():
    (sentence,) = _node_checks.problems({"a1": node(address_interface=None, addresses=["192.0.2.9"])})
    assert "no interface with its dovecot_address 198.51.100.31 (it has 192.0.2.9)" in sentence


def test_an_export_that_would_be_empty_after_a_restart_of_its_server_is_refused():
    (sentence,) = _node_checks.problems({"nfs1": node(mounted_by_hand="/srv")})
    assert "nfs1: its export is on the file system at /srv, which was mounted by hand" in sentence
    assert sentence.endswith("add it to /etc/fstab")


def test_a_node_whose_filling_was_interrupted_is_refused_but_by_the_playbook_that_goes_on():
    nodes = {"a1": node(), "a2": node(hostname="a2", filling="filling")}
    (sentence,) = _node_checks.problems(nodes)
    assert "a2: is being filled" in sentence and "fill_node.yml -e dovecot_new_node=a2" in sentence
    assert _node_checks.problems(nodes, "a1") == [sentence]
    assert _node_checks.problems(nodes, "a2") == []


def test_a_node_that_is_filled_passes():
    assert _node_checks.problems({"a1": node(filling="filled")}) == []


SHARED = {"a1": {"path": "/var/vmail", "mail_user": "vmail", "uid": 5000, "gid": 5000, "max_clock_difference": 1}}


def sharing(**found):
    deployed = {"has_mail": False, "mail_account": {"uid": 5000, "gid": 5000}, "clock": 1001.0}
    return _node_checks.problems({"a1": node(**{**deployed, **found})}, storage=SHARED, asked=(1000.0, 1002.0))


def test_a_node_with_shared_storage_passes_deployed_or_bare():
    assert sharing() == []
    assert sharing(mail_account=None) == []


def test_mail_that_the_shared_storage_would_hide_is_refused():
    (sentence,) = sharing(has_mail=True)
    assert "a1: has mail in /var/vmail on its own disk, which the shared storage would hide: copy it to the storage" in sentence


def test_another_number_of_the_mail_user_is_refused():
    (sentence,) = sharing(mail_account={"uid": 1001, "gid": 5000})
    assert "a1: its user vmail has uid 1001 and gid 5000, but the mail on the storage belongs to dovecot_mail_uid" in sentence


def test_a_clock_that_is_certainly_wrong_is_refused():
    (sentence,) = sharing(clock=1102.0)
    assert "a1: its clock is 100 s ahead of this machine's" in sentence and "keep time by NTP" in sentence
    (sentence,) = sharing(clock=990.0)
    assert "10 s behind" in sentence
    assert sharing(clock=1002.9) == [], "nobody knows that the clock is wrong"


SECRET = "dovecot_doveadm_password"
PAIR = {SECRET: {"digest": "new", "nodes": ["a1", "a2"]}}


def with_secrets(**digests):
    nodes = {name: node(hostname=name, secrets={SECRET: digest}) for name, digest in digests.items()}
    return _node_checks.problems(nodes, secrets=PAIR)


def test_a_secret_that_would_change_on_some_nodes_only_is_refused():
    (sentence,) = with_secrets(a1="old")
    assert sentence.startswith("dovecot_doveadm_password: (value not shown) is not the one that is deployed on a1, and a2 would")
    assert "use the deployed value" in sentence and "run for all nodes at once" in sentence


def test_with_all_nodes_in_the_run_a_secret_is_changed():
    assert with_secrets(a1="old", a2="old") == []


def test_a_change_that_was_interrupted_is_finished():
    assert with_secrets(a1="new", a2="old") == []


def test_a_part_of_the_nodes_may_be_deployed_with_the_secret_that_they_have_or_as_the_first():
    assert with_secrets(a1="new") == []
    assert with_secrets(a1=None) == []
