"""Whether a fence device can do its work."""

from __future__ import annotations

import pytest

from ansible_collections.mailcluster.dovecot.plugins.module_utils import _fencing as fencing

# Of fence_ipmilan, shortened.
METADATA = """<?xml version="1.0" ?>
<resource-agent name="fence_ipmilan" shortdesc="Fence agent for IPMI">
<parameters>
<parameter name="ip" unique="0" required="1"><content type="string"/></parameter>
<parameter name="username" unique="0" required="0"><content type="string"/></parameter>
<parameter name="password" unique="0" required="0"><content type="string"/></parameter>
<parameter name="lanplus" unique="0" required="0"><content type="boolean" default="0"/></parameter>
</parameters>
</resource-agent>
"""


def device(hosts=("mail2",), **options):
    given = {"ip": "192.0.2.132", "username": "fence", "password": "secret-of-the-bmc", **options}
    return {"name": "mail2", "agent": "fence_ipmilan", "options": given, "hosts": list(hosts)}


class Agent:
    """Plays the fence agent: prints its metadata, then answers so."""

    def __init__(self, rc=0, err=""):
        self.rc, self.err, self.said = rc, err, []

    def __call__(self, argv, data=None):
        if argv[-2:] == ["-o", "metadata"]:
            return 0, METADATA, ""
        self.said.append((argv, data))
        return self.rc, "", self.err


@pytest.fixture(autouse=True)
def installed(tmp_path, monkeypatch):
    program = tmp_path / "fence_ipmilan"
    program.touch(mode=0o755)
    monkeypatch.setattr(fencing, "PROGRAMS", str(tmp_path))
    return program


def problem(agent=None, ask=True, **options):
    return fencing.problem(agent or Agent(), device(**options), ask)


def test_a_device_that_answers_is_well():
    assert problem() == ""


def test_a_node_that_is_off_is_an_answer_too():
    assert problem(Agent(rc=2)) == ""


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("pasword", "has no option 'pasword': did you mean password? ('fence_ipmilan -o metadata' lists them all)"),
        ("zzz", "has no option 'zzz' ("),
    ],
)
def test_an_option_that_the_agent_does_not_have(option, words):
    assert words in problem(**{option: "x"})


@pytest.mark.parametrize("option", ["pcmk_delay_max", "pcmk_host_list", "priority"])
def test_options_of_pacemaker_are_known_and_not_given_to_the_agent(option):
    agent = Agent()
    assert problem(agent, **{option: "1"}) == ""
    assert option not in agent.said[0][1]


def test_an_agent_that_is_not_installed(installed):
    installed.unlink()
    assert problem().startswith("dovecot_active_passive_fencing: fence_ipmilan of mail2 is not installed on this node")


def test_a_device_that_does_not_answer_is_told_in_the_agents_last_words():
    err = "2026-11-28 06:52:59,123 ERROR: Failed: Unable to obtain correct plug status or plug is not available\n\n"
    assert "fence_ipmilan of mail2 does not answer (2026-11-28 06:52:59,123 ERROR: Failed: Unable to obtain" in problem(
        Agent(1, err)
    )
    assert "(no answer within 20 s)" in problem(Agent(124))


def test_the_password_is_neither_shown_nor_seen_among_the_processes():
    agent = Agent(1, "ERROR: ipmitool -H 192.0.2.132 -P secret-of-the-bmc chassis power status\n")
    assert "secret-of-the-bmc" not in problem(agent)
    ((argv, data),) = agent.said
    assert not any("secret-of-the-bmc" in word for word in argv)
    assert data.splitlines() == ["ip=192.0.2.132", "username=fence", "password=secret-of-the-bmc", "action=status", "plug=mail2"]


def test_one_disk_for_both_nodes_is_looked_at_as_a_whole():
    agent = Agent()
    problem(agent, hosts=["mail1", "mail2"])
    assert "action=monitor" in agent.said[0][1]


def test_without_being_asked_the_device_is_left_alone():
    agent = Agent(1)
    assert problem(agent, ask=False) == ""
    assert agent.said == []
