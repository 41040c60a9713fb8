"""A user database that lists a part of its users, as a directory with a size limit does."""

from __future__ import annotations

import re

import pytest
from clients import eventually
from pairs import await_quiet

# What doveadm is for all that looks for it by its name alone.
CUT = r"""#!/bin/sh
case "$*" in
"user *" | "user -- *")
    /usr/bin/doveadm "$@" | head -n 1
    echo 'Error: auth-master: userdb list: User listing returned failure' >&2
    echo 'Fatal: user listing failed' >&2
    exit 75
esac
exec /usr/bin/doveadm "$@"
"""
AHEAD = "/run/mailcluster-dovecot/ahead"


@pytest.fixture
def cut(nodes, lab_is_whole, vip_holder):
    """The holder of the VIP, whose list of users is cut; its watch begins again with it, and without it at the end."""
    eventually(lab_is_whole, 60, "a whole pair", interval=1)
    node = vip_holder()
    node.run("printf '%%s' %s > /usr/local/bin/doveadm && chmod 755 /usr/local/bin/doveadm", CUT)
    node.run("systemctl restart mailcluster-dovecot-partner")
    yield node
    node.run("rm -f /usr/local/bin/doveadm && systemctl restart mailcluster-dovecot-partner")
    eventually(lambda: node.run(f"cat {AHEAD}").strip() == "0", 60, "a partner that lacks nothing")
    await_quiet((nodes["mail1"], nodes["mail2"]))


def journal(node):
    return node.run("journalctl -u mailcluster-dovecot-partner --since=-1min -o cat")


def test_the_vip_is_kept_until_the_list_is_whole(cut):
    eventually(lambda: "lists 1 users and fails" in journal(cut), 20, "the watch's complaint")
    began = journal(cut).rindex("lists 1 users and fails")
    assert cut.run(f"cat {AHEAD}").strip() == "1"
    cut.run("rm /usr/local/bin/doveadm")
    eventually(lambda: cut.run(f"cat {AHEAD}").strip() == "0", 60, "a partner that lacks nothing")
    assert re.search(r"lists all users, \d+\n(.*\n)*?all \d+ users are synchronised", journal(cut)[began:])


def test_the_catch_up_and_verify_say_it(cut, ansible):
    catchup = cut.host.run("/usr/local/libexec/mailcluster-dovecot/catchup --now")
    assert catchup.rc == 1 and "incomplete: doveadm user '*' lists 1 users and fails" in catchup.stdout
    proven = ansible("verify.yml")
    assert proven.returncode != 0
    assert "raised for Dovecot's account" in re.sub(r"\s+", " ", proven.stdout)
