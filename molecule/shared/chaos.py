"""The standing proof: everything fails, one after the other, under load, and each acknowledged thing is there afterwards."""

from __future__ import annotations

import time
from collections import Counter

from faults import FAULTS, happen
from pairs import await_equal

SYNCHRONISED = 180  # seconds until both nodes of a pair must have the same


def unleash(cluster, load, minutes, say=print):
    """Each fault once, and all again and again until the minutes are over; what each has done."""
    until, turns, outcomes = time.monotonic() + 60 * minutes, Counter(), []
    while not outcomes or time.monotonic() < until:
        for fault in FAULTS:
            outcome = happen(fault, turns[fault.group], cluster, load)
            turns[fault.group] += 1
            outcomes.append(outcome)
            say(
                f"{outcome.title} ({outcome.node}): delivery {outcome.delivery:.1f} s, IMAP {outcome.imap:.1f} s, "
                f"whole {outcome.whole:.1f} s after it was repaired"
            )
    return outcomes


def contradictions(load, nodes, users):
    """What both nodes of each pair have, against what was acknowledged, as sentences; and how much that was."""
    counted, wrong = Counter(), []
    for partition, names in users.items():
        boxes = await_equal(nodes.pair_of(partition), names, SYNCHRONISED)
        for user in names:
            journal = load.journals[user]
            counted.update({kind: len(done) for kind, done in journal.done.items()})
            wrong += [f"{user}: {sentence}" for sentence in journal.contradictions(boxes[user])]
    return wrong, counted


def table(outcomes):
    """The longest of each fault, for people."""
    rows = {}
    for outcome in outcomes:
        rows.setdefault(outcome.title, []).append(outcome)
    width = max(map(len, rows))
    yield f"{'what failed':<{width}}  {'times':>5}  {'delivery':>8}  {'IMAP':>8}"
    for title, same in rows.items():
        longest = [max(getattr(outcome, kind) for outcome in same) for kind in ("delivery", "imap")]
        yield f"{title:<{width}}  {len(same):>5}  " + "  ".join(f"{seconds:>6.1f} s" for seconds in longest)
