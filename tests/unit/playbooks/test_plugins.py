"""Where plugins and settings of an inventory stand in what a node reads: a setting for all must come before one of a part."""

from __future__ import annotations

import pytest
import yaml
from rendering import rendered
from test_refusals import Inventory

FRAGMENTS = "/etc/dovecot/mailcluster.d/"


@pytest.fixture
def nodes(tmp_path):
    def make(**variables):
        inventory = Inventory(tmp_path, "ideal")
        (inventory.folder / "group_vars/dovecot_cluster/zz.yml").write_text(yaml.safe_dump(variables, sort_keys=False))
        return rendered(inventory.folder / "hosts.yml")

    return make


def plugins_of(text):
    """Block -> its plugins, in the order in which they are written."""
    found, block = {}, ""
    for line in text.splitlines():
        if line.startswith("protocol "):
            block = line.split()[1]
        elif line == "}":
            block = ""
        elif line.strip().startswith("mail_plugins ="):
            found[block] = line.split("=")[1].split()
    return found


def backend(nodes):
    return plugins_of(nodes["a1"].files[FRAGMENTS + "30-backend.conf"])


def test_without_any_of_its_own_a_backend_has_what_the_roles_load(nodes):
    assert backend(nodes()) == {
        "": ["$mail_plugins", "quota"],
        "imap": ["$mail_plugins", "imap_quota"],
        "lmtp": ["$mail_plugins", "sieve"],
    }


def test_plugins_for_all_reach_each_protocol_and_those_of_one_only_that(nodes):
    found = backend(
        nodes(
            dovecot_mail_plugins=["zlib", "quota"],
            dovecot_protocol_mail_plugins={"imap": ["imap_zlib"], "pop3": ["pop3_migration"]},
        )
    )
    assert found == {
        "": ["$mail_plugins", "quota", "zlib"],
        "imap": ["$mail_plugins", "imap_quota", "imap_zlib"],
        "lmtp": ["$mail_plugins", "sieve"],
        "pop3": ["$mail_plugins", "pop3_migration"],
    }
    assert list(found)[0] == ""


def test_plugins_that_the_settings_add_for_all_do_too(nodes):
    cluster = nodes(
        dovecot_settings={"mail_plugins": "$mail_plugins zlib", "protocol imap": {"mail_plugins": "$mail_plugins imap_zlib"}}
    )
    settings = {name: plugins_of(cluster[name].files[FRAGMENTS + "99-settings.conf"]) for name in ("a1", "director1")}
    assert backend(cluster)[""] == ["$mail_plugins", "quota", "zlib"]
    assert settings["a1"] == {"imap": ["$mail_plugins", "imap_zlib"]}
    assert settings["director1"][""] == ["$mail_plugins", "zlib"]


def test_a_list_of_mappings_is_as_many_blocks(nodes):
    cluster = nodes(
        dovecot_settings={"passdb": [{"driver": "pam"}, {"driver": "passwd-file", "args": "/etc/more"}], "mail_debug": True}
    )
    assert cluster["a1"].files[FRAGMENTS + "99-settings.conf"].split("\n", 2)[2] == (
        "passdb {\n  driver = pam\n}\npassdb {\n  driver = passwd-file\n  args = /etc/more\n}\nmail_debug = yes\n"
    )


def test_packages_of_plugins_and_extra_ones_are_installed(nodes):
    cluster = nodes(dovecot_mail_plugins=["fts", "fts_xapian"], dovecot_extra_packages=["rspamd"])
    assert {"dovecot-fts-xapian", "rspamd"} <= set(cluster["a1"].packages)
    assert "dovecot-fts-xapian" not in cluster["director1"].packages
