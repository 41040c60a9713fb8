"""Pacemaker's configuration: ours is converged, what others put beside it stays."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from ansible_collections.mailcluster.dovecot.plugins.module_utils import _cib as cib

OF_THE_CLUSTER = """<cluster_property_set id="cib-bootstrap-options">
    <nvpair id="cib-bootstrap-options-dc-version" name="dc-version" value="2.1.5-a3f44794f94"/>
    <nvpair id="cib-bootstrap-options-cluster-name" name="cluster-name" value="pair"/></cluster_property_set>"""
OF_DRBD = """<rsc_location id="drbd-fence-by-handler-mail-drbd-clone" rsc="drbd-clone">
    <rule id="drbd-fence-by-handler-mail-rule-drbd-clone" role="Promoted" score="-INFINITY">
      <expression attribute="#uname" id="drbd-fence-by-handler-mail-expr-31-drbd-clone" operation="ne" value="mail1"/>
    </rule></rsc_location>"""
OF_A_MOVE = '<rsc_location id="cli-ban-mail-on-mail2" rsc="mail" role="Started" node="mail2" score="-INFINITY"/>'
# As crm_resource --meta and --disable write them.
STOPPED = """<meta_attributes id="dovecot-meta_attributes">
    <nvpair id="dovecot-meta_attributes-target-role" name="target-role" value="Stopped"/></meta_attributes>"""
UNMANAGED = '<nvpair id="mail-meta-is-managed" name="is-managed" value="false"/>'


def configuration(delay="5s", properties="", resources="", dovecot="", mail="", constraints=""):
    """What the role's template would give, with the places at which others write."""
    return ET.fromstring(f"""<configuration>
      <crm_config>{properties}<cluster_property_set id="mailcluster">
        <nvpair id="mailcluster-delay" name="priority-fencing-delay" value="{delay}"/></cluster_property_set></crm_config>
      <rsc_defaults/>
      <resources>{resources}
        <primitive id="fence-mail1" class="stonith" type="fence_ipmilan"><instance_attributes id="fence-mail1-attributes">
          <nvpair id="fence-mail1-attributes-ip" name="ip" value="192.0.2.130"/>
          <nvpair id="fence-mail1-attributes-password" name="password" value="secret-of-the-bmc"/>
          <nvpair id="fence-mail1-attributes-token" name="api_token" value="secret-of-the-bmc"/>
        </instance_attributes></primitive>
        <group id="mail"><meta_attributes id="mail-meta">
            <nvpair id="mail-meta-priority" name="priority" value="10"/>{mail}</meta_attributes>
          <primitive id="dovecot" class="ocf" provider="mailcluster" type="dovecot">
            <operations><op id="dovecot-monitor" name="monitor" interval="4s" timeout="40s"/></operations>{dovecot}</primitive>
        </group>
      </resources>
      <constraints>{constraints}</constraints>
    </configuration>""")


def live(**more):
    """As C(cibadmin --query) shows it, which has the nodes too."""
    found = configuration(**more)
    found.insert(1, ET.fromstring('<nodes><node id="1" uname="mail1"><instance_attributes id="nodes-1"/></node></nodes>'))
    return found


WANTED = configuration()
OTHERS = {
    "properties of the cluster itself": {"properties": OF_THE_CLUSTER},
    "what DRBD forbids an outdated node": {"constraints": OF_DRBD},
    "a move by hand": {"constraints": OF_A_MOVE},
    "a resource that was stopped": {"dovecot": STOPPED},
    "a group that is left alone": {"mail": UNMANAGED},
    "all at once": {"properties": OF_THE_CLUSTER, "constraints": OF_DRBD + OF_A_MOVE, "dovecot": STOPPED, "mail": UNMANAGED},
}


@pytest.mark.parametrize("others", OTHERS.values(), ids=OTHERS)
def test_what_others_have_set_is_kept(others):
    there = live(**others)
    assert cib.canonical(cib.merged(there, WANTED)) == cib.canonical(there)


@pytest.mark.parametrize("others", OTHERS.values(), ids=OTHERS)
def test_a_value_of_ours_is_changed_beside_them_and_a_second_time_nothing(others):
    once = cib.merged(live(delay="15s", **others), WANTED)
    assert cib.canonical(once) == cib.canonical(live(**others))
    assert cib.canonical(cib.merged(once, WANTED)) == cib.canonical(once)


def test_resources_and_constraints_that_are_no_longer_wanted_go():
    gone = '<primitive id="gone" class="ocf" provider="heartbeat" type="Dummy"/>'
    rule = '<rsc_location id="gone-elsewhere" rsc="gone" node="mail1" score="-INFINITY"/>'
    assert cib.canonical(cib.merged(live(resources=gone, constraints=rule), WANTED)) == cib.canonical(live())


def test_a_cluster_without_resources_gets_them():
    new = ET.fromstring(f"<configuration><crm_config>{OF_THE_CLUSTER}</crm_config><nodes/><resources/></configuration>")
    result = cib.merged(new, WANTED)
    assert result.find("rsc_defaults") is not None
    assert [element.get("id") for element in result.find("resources")] == ["fence-mail1", "mail"]
    assert [element.get("id") for element in result.find("crm_config")] == ["cib-bootstrap-options", "mailcluster"]
    assert cib.canonical(cib.merged(result, WANTED)) == cib.canonical(result)


def test_nodes_are_left_as_they_are():
    there = live()
    assert cib.canonical(cib.merged(there, WANTED).find("nodes")) == cib.canonical(there.find("nodes"))


def test_neither_of_the_two_is_changed_in_its_place():
    there, wanted = live(delay="15s", dovecot=STOPPED), configuration()
    cib.merged(there, wanted)
    assert cib.canonical(there) == cib.canonical(live(delay="15s", dovecot=STOPPED))
    assert cib.canonical(wanted) == cib.canonical(WANTED)


def test_a_diff_shows_the_options_of_a_fence_device_without_its_secrets():
    shown = cib.shown(live(properties=OF_THE_CLUSTER))
    assert 'name="ip" value="192.0.2.130"' in shown
    assert "secret-of-the-bmc" not in shown
    assert shown.count('value="(not shown)"') == 2
    assert "uname" not in shown  # no section of ours
