"""Day-2 work: the playbooks, as an administrator runs them."""

from __future__ import annotations


def boot(node):
    return node.run("cat /proc/sys/kernel/random/boot_id")


def test_verify_finds_nothing_wrong_and_has_the_passive_node_fenced_when_asked_to(pair, ansible):
    active = pair.await_whole()
    passive = pair.other(active)
    before = boot(passive)
    done = ansible("verify.yml", "-e", "dovecot_verify_fencing=true")
    assert done.returncode == 0, done.stdout[-3000:]
    assert boot(passive) != before
    assert pair.await_whole() is active


def test_a_node_is_taken_out_of_service_and_put_back(pair, ansible):
    passive = pair.other(pair.await_whole())
    done = ansible("maintain_node.yml", "-e", f"dovecot_node={passive.name} dovecot_node_state=standby")
    assert done.returncode == 0, done.stdout[-3000:]
    refused = ansible("switch_over.yml")
    assert refused.returncode != 0
    assert f"{passive.name} is on standby" in refused.stdout
    done = ansible("maintain_node.yml", "-e", f"dovecot_node={passive.name} dovecot_node_state=online")
    assert done.returncode == 0, done.stdout[-3000:]
    pair.is_whole()


def test_a_setting_is_deployed_without_that_the_service_moves(pair, ansible):
    active = pair.await_whole()
    for value in (77, None):
        words = ["-e", f'{{"dovecot_settings": {{"mail_max_userip_connections": {value}}}}}'] if value else []
        done = ansible("site.yml", *words)
        assert done.returncode == 0, done.stdout[-3000:]
        for node in pair.nodes:
            assert ("= 77" in node.run("doveconf mail_max_userip_connections")) == bool(value)
    assert pair.active() is active


def test_one_node_is_deployed_alone(pair, ansible):
    active = pair.await_whole()
    done = ansible("site.yml", "--limit", active.name)
    assert done.returncode == 0, done.stdout[-3000:]
