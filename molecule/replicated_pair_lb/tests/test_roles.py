"""Roles in plays of one's own: in any order, one passed over, one alone. What they install comes into force all the same."""

from __future__ import annotations

import pytest
import yaml

REVERSED = [
    "mailcluster.dovecot.proxy",
    "mailcluster.dovecot.service_address",
    "mailcluster.dovecot.replication",
    "mailcluster.dovecot.backend",
    "mailcluster.dovecot.shared_storage",
]
PASSED_OVER = {"mailcluster.dovecot.proxy", "mailcluster.dovecot.shared_storage", "mailcluster.dovecot.service_address"}
TIMER = "mailcluster-dovecot-purge.timer"


@pytest.fixture
def play(ansible, tmp_path, deployed_again):
    """Runs a play for the backends, with the time of the purge changed."""

    def run(time, **keys):
        path = tmp_path / "play.yml"
        path.write_text(yaml.safe_dump([{"hosts": "dovecot_backends", "gather_facts": False, **keys}]))
        done = ansible(path, "-e", f"dovecot_backend_purge_time='*-*-* {time}'")
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


@pytest.fixture
def deployed_again(ansible):
    yield
    done = ansible("site.yml")
    assert done.returncode == 0, done.stdout + done.stderr


def next_purge(nodes):
    return {node.name: node.run("systemctl show --property=TimersCalendar %s", TIMER) for node in nodes.pair_of("pair")}


def test_in_another_order_and_passed_over_no_reload_is_lost(play, nodes):
    roles = [{"role": role, "when": role not in PASSED_OVER} for role in REVERSED]
    play("03:31:00", roles=[*roles, "mailcluster.dovecot.service"])
    assert all("*-*-* 03:31:00" in told for told in next_purge(nodes).values()), next_purge(nodes)


def test_a_role_alone_has_the_inventory_judged_once_and_does_its_job(play, nodes):
    include = [{"ansible.builtin.include_role": {"name": f"mailcluster.dovecot.{role}"}} for role in ("backend", "service")]
    output = play("03:32:00", tasks=include)
    assert output.count(": Check the inventory]") == 1
    assert all("*-*-* 03:32:00" in told for told in next_purge(nodes).values()), next_purge(nodes)


def test_what_a_play_has_not_brought_into_force_the_next_one_does(play, nodes):
    play("03:33:00", roles=["mailcluster.dovecot.backend"])
    assert not any("03:33:00" in told for told in next_purge(nodes).values())
    play("03:33:00", roles=["mailcluster.dovecot.backend", "mailcluster.dovecot.service"])
    assert all("*-*-* 03:33:00" in told for told in next_purge(nodes).values()), next_purge(nodes)
