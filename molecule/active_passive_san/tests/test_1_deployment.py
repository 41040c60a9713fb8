"""What a deployment makes of a LUN and of the disk of sbd, and what it never touches."""

from __future__ import annotations

MAIL, MESSAGES = (f"/dev/disk/by-id/wwn-0x6001405000006{number}00000000000000000" for number in ("10", "11"))


def test_one_node_has_the_mail_mounted(pair):
    active = pair.active()
    assert pair.mounted(active) and not pair.mounted(pair.other(active))


def test_both_nodes_read_messages_on_the_same_disk_and_are_watched(pair):
    found = {node.run(f"sbd -d {MESSAGES} dump | grep -E 'UUID|watchdog|msgwait'") for node in pair.nodes}
    assert len(found) == 1
    assert "Timeout (watchdog) : 10" in found.pop()
    for node in pair.nodes:
        assert node.run("systemctl is-active sbd") == "active"


def test_the_disk_of_messages_is_refused_for_mail(pair, module):
    passive = pair.other(pair.active())
    told = module(passive, "mail_device", storage="lun", step="format", device=MESSAGES, directory="/srv/x", uid=5000, gid=5000)
    assert f"{MESSAGES} is not empty, it has sbd" in told["msg"]


def test_the_disk_of_the_mail_is_refused_for_messages(pair, module):
    told = module(pair.other(pair.active()), "fence_disk", disks=[MAIL], watchdog_timeout=10)
    assert f"{MAIL} has xfs" in told["msg"] and "nothing was made" in told["msg"]
