"""An active/passive pair, as crm_mon 2.1.5 and DRBD 8.4 tell it."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from ansible_collections.mailcluster.dovecot.plugins.module_utils import _pacemaker as pacemaker

NAMES = ["mail1", "mail2"]
EXPECTED = {"nodes": NAMES, "fencing": True}


def node(name, **more):
    given = {"online": "true", "standby": "false", "standby_onfail": "false", "maintenance": "false", "pending": "false"}
    given |= {"unclean": "false", "health": "green", "feature_set": "3.16.2", "shutdown": "false", "expected_up": "true", **more}
    return f'<node name="{name}" id="{name[-1]}" {attributes(given)} is_dc="true" resources_running="4" type="member"/>'


def attributes(given):
    return " ".join(f'{key}="{value}"' for key, value in given.items())


def resource(name, place="mail1", role="Started", agent="ocf:heartbeat:any", **more):
    flags = {"active": "true", "orphaned": "false", "blocked": "false", "maintenance": "false", "managed": "true"}
    flags |= {"failed": "false", "failure_ignored": "false", **more}
    inner = f'<node name="{place}" id="{place[-1]}" cached="true"/>' if place else ""
    return f'<resource id="{name}" resource_agent="{agent}" role="{role}" {attributes(flags)}>{inner}</resource>'


def printed(nodes=None, resources=None, failures="", fencing="true", maintenance="false", history=""):
    """What `crm_mon --output-as=xml` prints of a pair in which mail1 serves, but for what is given."""
    of = {name: resource(name) for name in ("filesystem", "dovecot", "address")}
    of |= {"fence-mail1": resource("fence-mail1", "mail2"), "fence-mail2": resource("fence-mail2", "mail1"), **(resources or {})}
    return ET.fromstring(f"""<pacemaker-result api-version="2.25" request="crm_mon --output-as=xml --one-shot --inactive">
  <summary>
    <stack type="corosync" pacemakerd-state="running"/>
    <current_dc present="true" version="2.1.5-a3f44794f94" name="mail2" id="2" with_quorum="true" mixed_version="false"/>
    <nodes_configured number="2"/>
    <resources_configured number="7" disabled="0" blocked="0"/>
    <cluster_options stonith-enabled="{fencing}" symmetric-cluster="true" no-quorum-policy="stop"
      maintenance-mode="{maintenance}" stop-all-resources="false" stonith-timeout-ms="60000" priority-fencing-delay-ms="5000"/>
  </summary>
  <nodes>{"".join(nodes or map(node, NAMES))}</nodes>
  <resources>
    {of["fence-mail1"]}{of["fence-mail2"]}
    <clone id="drbd-clone" multi_state="true" unique="false" maintenance="false" managed="true" disabled="false" failed="false">
      {resource("drbd", "mail1", "Promoted", "ocf:linbit:drbd")}{resource("drbd", "mail2", "Unpromoted", "ocf:linbit:drbd")}
    </clone>
    <group id="mail" number_resources="2" maintenance="false" managed="true" disabled="false">
      {of["filesystem"]}{of["dovecot"]}
    </group>
    {of["address"]}
  </resources>
  <fence_history status="0">{history}</fence_history>
  <failures>{failures}</failures>
  <status code="0" message="OK"/>
</pacemaker-result>""")


SYNCHRONOUS = """version: 8.4.11 (api:1/proto:86-101)
srcversion: 5A4F43804B37BB28FCB1F47
 0: cs:Connected ro:Primary/Secondary ds:UpToDate/UpToDate C r-----
    ns:6176 nr:0 dw:6176 dr:3249 al:9 bm:0 lo:0 pe:0 ua:0 ap:0 ep:1 wo:f oos:0
"""
COPYING = """version: 8.4.11 (api:1/proto:86-101)
srcversion: 5A4F43804B37BB28FCB1F47
 0: cs:SyncSource ro:Primary/Secondary ds:UpToDate/Inconsistent C r-----
    ns:88064 nr:0 dw:0 dr:88064 al:8 bm:0 lo:0 pe:0 ua:0 ap:0 ep:1 wo:f oos:436060
\t[==>.................] sync'ed: 17.1% (436060/524124)K
\tfinish: 0:00:09 speed: 44,032 (44,032) K/sec
"""
STOPPED = "version: 8.4.11 (api:1/proto:86-101)\nsrcversion: 5A4F43804B37BB28FCB1F47\n 0: cs:Unconfigured\n"


def drbd(connection="Connected", disk="UpToDate", peer="UpToDate"):
    head = f" 0: cs:{connection} ro:Primary/Secondary ds:{disk}/{peer} C r-----\n"
    return head + "    ns:0 nr:0 dw:0 dr:0 al:0 bm:0 lo:0 pe:0 ua:0 ap:0 ep:1 wo:f oos:0\n"


def state(status=SYNCHRONOUS, **more):
    return pacemaker.parse(printed(**more), None if status is None else pacemaker.parse_drbd(status))


def problems(*given, **more):
    return pacemaker.problems(state(*given, **more), EXPECTED)


def test_a_pair_that_is_well():
    found = state()
    assert (found["active"], found["coordinator"], found["quorum"], found["fencing"]) == ("mail1", "mail2", True, True)
    assert found["nodes"]["mail2"] == dict.fromkeys(("standby", "maintenance", "unclean", "pending"), False) | {"online": True}
    assert pacemaker.problems(found, EXPECTED) == pacemaker.notices(found) == []
    assert pacemaker.is_whole(found, NAMES)


def test_copies_of_a_clone_have_its_name():
    roles = {(entry["id"], entry["node"], entry["role"]) for entry in state()["resources"] if entry["id"] == "drbd"}
    assert roles == {("drbd", "mail1", "Promoted"), ("drbd", "mail2", "Unpromoted")}


@pytest.mark.parametrize(
    "resources",
    [
        {"address": resource("address", None, "Stopped")},
        {"dovecot": resource("dovecot", "mail1", "Starting")},
        {"dovecot": resource("dovecot", failed="true")},
        {"address": resource("address", "mail2")},
    ],
    ids=["no address", "a Dovecot that starts", "a Dovecot that failed", "an address elsewhere"],
)
def test_a_node_serves_with_all_it_needs_or_not_at_all(resources):
    assert state(resources=resources)["active"] is None
    assert "no node serves: see crm_mon -1" in problems(resources=resources)[0]


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"online": "false"}, "mail2 is not in the cluster: start it"),
        ({"online": "false", "unclean": "true"}, "mail2 does not answer and could not be switched off"),
        (
            {"standby": "true"},
            "mail2 is on standby: playbooks/maintain_node.yml -e dovecot_node=mail2 -e dovecot_node_state=online",
        ),
    ],
)
def test_a_node_that_cannot_take_over(more, words):
    nodes = [node("mail1"), node("mail2", **more)]
    (sentence,) = problems(nodes=nodes)
    assert words in sentence
    assert not pacemaker.is_whole(state(nodes=nodes), NAMES)


def test_a_node_that_is_not_known_yet():
    (sentence,) = problems(nodes=[node("mail1")])
    assert sentence == "Pacemaker does not know mail2: is corosync running there?"


def test_a_node_that_is_joining_cannot_take_over_yet():
    assert not pacemaker.is_whole(state(nodes=[node("mail1"), node("mail2", pending="true")]), NAMES)


def test_what_an_operator_has_forgotten():
    (sentence,) = problems(resources={"dovecot": resource("dovecot", managed="false")})
    assert sentence.startswith("dovecot is not managed")
    assert sentence.endswith("crm_resource --resource dovecot --meta --delete-parameter is-managed")
    (sentence,) = problems(maintenance="true", resources={"dovecot": resource("dovecot", managed="false")})
    assert "crm_attribute --name maintenance-mode --delete" in sentence


@pytest.mark.parametrize("more", [{"place": None, "role": "Stopped"}, {"failed": "true"}])
def test_a_fence_device_that_does_not_answer(more):
    (sentence,) = problems(resources={"fence-mail2": resource("fence-mail2", **more)})
    assert sentence.startswith("the fence device fence-mail2 does not answer")
    assert sentence.endswith("crm_resource --cleanup --resource fence-mail2")


def test_a_fence_device_stops_with_the_node_that_asks_it():
    stopped = {"fence-mail1": resource("fence-mail1", None, "Stopped")}
    assert problems(nodes=[node("mail1"), node("mail2", standby="true")], resources=stopped) == [
        "mail2 is on standby: playbooks/maintain_node.yml -e dovecot_node=mail2 -e dovecot_node_state=online"
    ]


def test_fencing_that_somebody_switched_off():
    assert problems(fencing="false") == ["fencing is switched off in Pacemaker: run playbooks/site.yml"]
    assert pacemaker.problems(state(fencing="false"), {**EXPECTED, "fencing": False}) == []


FAILURE = """<failure op_key="dovecot_monitor_4000" node="mail1" exitstatus="error" exitreason="no greeting at port 143"
    exitcode="1" call="40" status="complete" last-rc-change="2026-11-28 06:00:00Z" queued="0" exec="8012"
    interval="4000" task="monitor"/>
  <failure op_key="drbd_promote_0" node="mail2" exitstatus="Timed Out" exitreason="" exitcode="1" call="9" status="Timed Out"
    last-rc-change="2026-11-28 06:01:00Z" queued="0" exec="90000" interval="0" task="promote"/>"""


def test_what_failed_before_is_told_with_its_reason():
    found = pacemaker.notices(state(failures=FAILURE))
    assert found == [
        "monitor of dovecot failed on mail1 at 2026-11-28 06:00:00Z (no greeting at port 143): find out why, then "
        "crm_resource --cleanup --resource dovecot",
        "promote of drbd failed on mail2 at 2026-11-28 06:01:00Z (Timed Out): find out why, then "
        "crm_resource --cleanup --resource drbd",
    ]


def test_when_a_node_was_switched_off():
    event = """<fence_event action="reboot" target="mail1" client="pacemaker-controld.712" origin="mail2" status="success"
      delegate="mail2" completed="2026-11-28 06:00:09Z"/>"""
    assert state(history=event)["fencing_actions"] == [
        {"action": "reboot", "target": "mail1", "status": "success", "completed": "2026-11-28 06:00:09Z", "exit-reason": ""}
    ]


def test_how_far_the_copies_agree():
    found = pacemaker.parse_drbd(COPYING)
    assert (found["connection"], found["role"], found["disk"]) == ("SyncSource", "Primary", "UpToDate")
    assert (found["peer_role"], found["peer_disk"]) == ("Secondary", "Inconsistent")
    assert (found["out_of_sync"], found["synchronised"]) == (436060, 17.1)


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (COPYING, "DRBD copies the mail to the node that lacks it, 17.1 % done: until then it is on one disk only"),
        (drbd("StandAlone", peer="DUnknown"), "as after a split brain: see what playbooks/resolve_split_brain.yml shows"),
        (drbd("WFConnection", peer="Outdated"), "DRBD has no connection to the other node: the mail is on one disk only"),
        (drbd(disk="Diskless"), "the disk of this node has failed, DRBD goes on without it: replace it"),
        (drbd(peer="Diskless"), "the disk of the other node has failed, DRBD goes on without it: replace it"),
        (STOPPED, "DRBD does not run on this node"),
        ("", "DRBD does not run on this node"),
    ],
    ids=["copying", "split brain", "alone", "own disk", "other disk", "stopped", "no module"],
)
def test_mail_that_is_on_one_disk_only(status, words):
    (sentence,) = problems(status)
    assert words in sentence
    assert not pacemaker.is_whole(state(status), NAMES)


def test_of_a_lun_there_is_one_copy():
    assert problems(None) == []
    assert pacemaker.is_whole(state(None), NAMES)


def answering(rc, out, err=""):
    return lambda _argv, data=None: (rc, out, err)


NOT_CONNECTED = """<pacemaker-result api-version="2.25" request="crm_mon">
  <status code="102" message="Not connected"><errors><error>crm_mon: Connection to cluster failed</error></errors></status>
</pacemaker-result>"""


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (answering(102, NOT_CONNECTED), r"Pacemaker does not run on this node \(Not connected\)"),
        (answering(1, "", "crm_mon: Permission\ndenied"), "crm_mon tells nothing: crm_mon: Permission denied"),
    ],
)
def test_a_node_without_pacemaker(answer, words):
    with pytest.raises(pacemaker.NotRunning, match=words):
        pacemaker.read(answer, drbd=False)


def test_a_configuration_is_read_only_when_somebody_decides():
    assert pacemaker.live_cib(answering(0, '<cib dc-uuid="1"/>'), 0).get("dc-uuid") == "1"
    with pytest.raises(pacemaker.NotRunning, match="the nodes have not found each other yet"):
        pacemaker.live_cib(answering(0, "<cib/>"), 0)
    with pytest.raises(pacemaker.NotRunning, match="Pacemaker does not answer"):
        pacemaker.live_cib(answering(0, ""), 0)
    with pytest.raises(pacemaker.NotRunning, match="journalctl -u corosync -u pacemaker"):
        pacemaker.live_cib(answering(102, "", "cibadmin: Connection refused"), 0)
