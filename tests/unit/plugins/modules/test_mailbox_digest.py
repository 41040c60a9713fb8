"""Two nodes are compared by what each says of the same users."""

from __future__ import annotations

import pytest

from ansible_collections.mailcluster.dovecot.plugins.module_utils._doveadm import Doveadm, InvalidValue
from ansible_collections.mailcluster.dovecot.plugins.modules import mailbox_digest

USERS = ["alice", "bob", "carol", "dave"]


def node(mail, noreplicate=()):
    """A node that has I(mail): user to the lines that doveadm prints of the folders."""

    def runner(argv, _seconds):
        words = argv[1:]
        if words[:2] == ["user", "-f"]:
            return (0, "y\n" if words[-1] in noreplicate else "", "")
        if words[0] == "user":
            return 0, "".join(f"{user}\n" for user in mail), ""
        assert words[:5] == ["-f", "tab", "mailbox", "status", "-u"]
        lines = mail[words[5]]
        return (75, "", "Error: Mailbox is locked") if lines is None else (0, lines, "")

    return Doveadm(runner)


def read(mail, **options):
    noreplicate = options.pop("noreplicate", ())
    params = {"users": ["*"], "sample": 0, "seed": "", "settle": 0, "samples": 1, **options}
    return mailbox_digest.converge(node(mail, noreplicate), params, False)


SAME = {user: "INBOX\t3\t1\nTrash\t0\t0\n" for user in USERS}


def test_the_order_of_folders_does_not_count_and_a_message_more_does():
    one = read(SAME)["digests"]
    assert one == read({**SAME, "bob": "Trash\t0\t0\nINBOX\t3\t1\n"})["digests"]
    other = read({**SAME, "bob": "INBOX\t4\t1\nTrash\t0\t0\n"})["digests"]
    assert [user for user in USERS if one[user] != other[user]] == ["bob"]


def test_two_nodes_take_the_same_sample_and_another_day_another_one():
    samples = {tuple(read(SAME, sample=2, seed=seed)["digests"]) for seed in "abcdefgh"}
    assert all(len(sample) == 2 for sample in samples) and len(samples) > 1
    assert read(SAME, sample=2, seed="a") == read(dict(reversed(SAME.items())), sample=2, seed="a")
    assert read(SAME, sample=2)["known"] == 4


def test_who_is_not_replicated_is_left_out():
    assert list(read(SAME, noreplicate=("carol",))["digests"]) == ["alice", "bob", "dave"]


def test_a_user_whose_mail_cannot_be_read_is_named_without_a_digest():
    assert read({**SAME, "bob": None})["digests"]["bob"] is None


def test_a_sample_below_zero_is_refused():
    with pytest.raises(InvalidValue, match="sample: -1"):
        read(SAME, sample=-1)


def test_mail_that_never_rests_is_read_at_several_moments():
    box = iter(f"INBOX\t{number}\t1\n" for number in range(9))

    class Busy(dict):
        def __getitem__(self, user):
            return next(box)

    slept = []
    doveadm = node(Busy(alice=""))
    doveadm.sleep = slept.append
    params = {"users": ["*"], "sample": 0, "seed": "", "settle": 0, "samples": 3}
    result = mailbox_digest.converge(doveadm, params, False)
    assert len(result["seen"]) == 3 and all(entry.startswith("alice ") for entry in result["seen"])
    assert f"alice {result['digests']['alice']}" in result["seen"]
