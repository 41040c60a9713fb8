"""What mail servers and clients wait for when something fails, one thing after the other; and that nothing is lost.

--minutes N repeats it all until so much time is over.
"""

from __future__ import annotations

import argparse
import sys

from _lab import fits, machine, status
from acknowledged import Load
from chaos import contradictions, table, unleash
from clients import Clients
from faults import Cluster
from fixtures import LabNode, holder_of, nodes_of, run_playbook, users_of, whole_of


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=0)
    minutes = parser.parse_args().minutes
    lab = status()
    groups = {group for node in lab["nodes"] for group in node["groups"]}
    fits({"dovecot_loadbalancers", "dovecot_directors", "dovecot_replicated"} <= groups, "the ideal cluster: ./lab up")
    nodes, users = nodes_of(lab), users_of(lab)
    cluster = Cluster(nodes, users, LabNode(), run_playbook, holder_of(lab, nodes), whole_of(lab, nodes))
    print(f"\nOne fault after the other, for {minutes:g} minutes or each once, {machine()}", flush=True)
    with Load(Clients(lab), users) as load:
        outcomes = unleash(cluster, load, minutes, say=lambda text: print(f"  {text}", flush=True))
    wrong, counted = contradictions(load, nodes, users)
    print("", *table(outcomes), sep="\n  ")
    print("\n  acknowledged: " + ", ".join(f"{number} {kind}" for kind, number in counted.items()))
    print(f"  not as acknowledged: {len(wrong)}", *wrong[:20], sep="\n    ")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
