"""What running the playbooks again does, and what it refuses."""

from __future__ import annotations

import json
import re

import pytest
from clients import eventually, must
from pairs import Load, assert_nothing_lost, await_equal

RECAP = re.compile(r"^(\S+)\s*: ok=(\d+)\s+changed=(\d+)\s+unreachable=(\d+)\s+failed=(\d+)", re.M)


def recap(done):
    """Node -> (changed, unreachable, failed)."""
    return {match[1]: tuple(int(n) for n in match.group(3, 4, 5)) for match in RECAP.finditer(done.stdout)}


def test_one_node_alone_changes_nothing_anywhere(ansible):
    done = ansible("site.yml", "--limit", "a1")
    assert done.returncode == 0, done.stdout[-3000:]
    assert recap(done) == {"a1": (0, 0, 0)}


def test_a_service_that_was_stopped_and_disabled_is_brought_back(ansible, nodes):
    node = nodes["b2"]
    node.run("systemctl disable --now dovecot mailcluster-dovecot-purge.timer")
    done = ansible("site.yml", "--limit", node.name)
    assert done.returncode == 0, done.stdout[-3000:]
    assert node.run("systemctl is-enabled dovecot mailcluster-dovecot-purge.timer").split() == ["enabled"] * 2
    assert node.run("systemctl is-active dovecot mailcluster-dovecot-purge.timer").split() == ["active"] * 2


def test_verify_passes_with_a_probe_account(ansible, lab):
    user = lab["users"][0]
    done = ansible(
        "verify.yml",
        "-e",
        json.dumps(
            {
                "dovecot_probe_user": user["name"],
                "dovecot_probe_password": user["password"],
                "dovecot_probe_ca_file": lab["ca_file"],
            }
        ),
    )
    assert done.returncode == 0, done.stdout[-3000:]
    assert user["password"] not in done.stdout


def test_verify_fails_for_a_stopped_replication(ansible, nodes):
    """The proof can fail: with a partner that is gone a failed user is found."""
    one, other = nodes.pair_of("b")
    other.run("systemctl stop dovecot")
    try:
        one.run("doveadm replicator replicate -p high '*'")
        eventually(
            lambda: any(row["failed"] == "y" for row in one.doveadm("replicator", "status", "*")),
            60,
            "a failed user while the partner is down",
        )
        done = ansible("verify.yml")
        assert done.returncode != 0
        assert "has failed on b1" in re.sub(r"\s+", " ", done.stdout)
    finally:
        other.run("systemctl start dovecot")
        eventually(
            lambda: (
                one.run("doveadm replicator replicate -p high '*'")
                or not any(row["failed"] == "y" for row in one.doveadm("replicator", "status", "*"))
            ),
            60,
            "a healed replication",
            interval=2,
        )


BROKEN = {
    "an unknown setting": ({"no_such_setting": "1"}, "no_such_setting"),
    "a value that is none": ({"mail_max_userip_connections": "many"}, "many"),
    "a plugin that is not installed": ({"mail_plugins": "$mail_plugins no_such_plugin"}, "no_such_plugin"),
    "a certificate that does not exist": (
        {"local_name other.example.org": {"ssl_cert": "</etc/dovecot/tls/none.pem", "ssl_key": "</etc/dovecot/tls/key.pem"}},
        "/etc/dovecot/tls/none.pem",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_setting_is_refused_and_the_old_configuration_stays_in_force(case, ansible, nodes, clients, users):
    settings, expected = BROKEN[case]
    backend = nodes["a1"]
    look = "find /etc/dovecot -type f | sort | xargs sha256sum; systemctl show -p MainPID dovecot; doveconf -n"
    before = backend.run(look)
    with clients.imap(users["a"][0], host=backend.address) as connection:
        done = ansible("site.yml", "--limit", "a1", "-e", json.dumps({"dovecot_settings": settings}))

        assert done.returncode != 0
        assert expected in done.stdout
        assert recap(done)["a1"][2] == 1
        must(connection.noop())
    assert backend.run(look) == before


def test_a_key_that_does_not_match_its_certificate_is_refused(ansible, nodes):
    backend = nodes["a1"]
    before = backend.run("sha256sum /etc/dovecot/tls/key.pem")
    other_key = backend.run("openssl genrsa 2048 2>/dev/null")
    done = ansible("site.yml", "--limit", "a1", "-e", json.dumps({"dovecot_tls_key": other_key}))
    assert done.returncode != 0
    assert "does not belong to the private key" in done.stdout
    assert other_key.splitlines()[5] not in done.stdout
    assert backend.run("sha256sum /etc/dovecot/tls/key.pem") == before


def test_a_changed_setting_comes_into_force_without_losing_a_connection(ansible, nodes, clients, users):
    user = users["b"][0]
    with clients.imap(user) as connection:
        settings = json.dumps({"dovecot_settings": {"mail_max_userip_connections": 25}})
        done = ansible("site.yml", "--diff", "-e", settings)
        assert done.returncode == 0, done.stdout[-3000:]
        assert "+mail_max_userip_connections = 25" in done.stdout
        must(connection.noop())
        for node in nodes.of("dovecot_backends") + nodes.of("dovecot_directors"):
            assert node.run("doveconf -h mail_max_userip_connections").strip() == "25"
        must(connection.noop())

        assert ansible("site.yml").returncode == 0
        must(connection.noop())


def test_secrets_are_readable_by_root_only_and_not_shown(ansible, nodes):
    for name in ("a1", "director1"):
        modes = nodes[name].run(
            "stat -c '%a %n' /etc/dovecot/tls/key.pem /etc/dovecot/users.passwd /etc/dovecot/mailcluster.d/11-secrets.conf"
        )
        assert [line.split()[0] for line in modes.splitlines()] == ["600", "600", "600"]
    new_secret = "n3wSecretForTheDiffOnly0123456789"
    done = ansible("site.yml", "--check", "--diff", "-vvv", "-e", json.dumps({"dovecot_doveadm_password": new_secret}))
    assert done.returncode == 0, done.stdout[-3000:]
    assert "11-secrets.conf" in done.stdout
    assert new_secret not in done.stdout


def test_a_secret_that_changes_on_all_nodes_cuts_nobody(ansible, clients, users, nodes):
    some = users["a"][:2]
    dovecots = [*nodes.of("dovecot_directors"), *nodes.of("dovecot_backends")]
    since = dovecots[0].run("date '+%Y-%m-%d %H:%M:%S'").strip()
    # A client of a mail user waits for half a minute: only who is cut off has failed, not who waits for a busy machine.
    with Load(clients, some, timeout=30) as load:
        for words in (["-e", json.dumps({"dovecot_doveadm_password": "r0tated-f0r-a-while-by-this-test"})], []):
            done = ansible("site.yml", *words)
            assert done.returncode == 0, done.stdout[-3000:]
    # a mail server tries again what a director answers whose reload met the delivery (docs/directors.md)
    failed = [words for words in load.refused if "Temporary user lookup failure" not in words]
    # a login whose auth process is replaced just then is refused as one with a wrong password is; Dovecot logs what it was
    logs = [node.run("journalctl -u dovecot --no-pager --output cat --since %s", since) for node in dovecots]
    interrupted = sum(log.count("auth process communication failure") for log in logs)
    failed_logins = [words for words in failed if "AUTHENTICATIONFAILED" in words]
    assert len(failed_logins) <= interrupted and failed_logins == failed, f"{len(failed)} attempts failed, as {failed[0]}"
    assert len(load.refused) < 5, f"{len(load.refused)} deliveries and logins met a reload"
    assert_nothing_lost(load, await_equal(nodes.pair_of("a"), some))
