"""Records doveadm's answers to the cases of this folder, on the lab's cluster `director`.

    ./lab up director && ./lab run python tests/unit/plugins/recorded/record.py [WORDS OF A CASE'S NAME]

Each case is run in check mode, for real, and once more; what doveadm was asked and what it said is kept, with
the seconds that it took. Transcripts are written again for the cases that are run.
"""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[4]
sys.path[:0] = [str(Path(__file__).parent), str(CHECKOUT / ".lab" / "collections")]

from ansible.utils.collection_loader._collection_finder import _AnsibleCollectionFinder  # noqa: E402

_AnsibleCollectionFinder(paths=[str(CHECKOUT / ".lab" / "collections")])._install()

from replay import ERRORS, TRANSCRIPTS, World, load_cases, load_errors, perform, transcript_of  # noqa: E402

LAB = json.loads(subprocess.run([CHECKOUT / "lab", "status", "--json"], check=True, capture_output=True, text=True).stdout)
SSH = {node["name"]: node["ssh"] for node in LAB["nodes"]}


def on(node, command, check=False):
    return subprocess.run([*SSH[node], command], capture_output=True, text=True, check=check)


RING = {"198.51.100.31": "a", "198.51.100.32": "a", "198.51.100.41": "b", "198.51.100.42": "b"}


class Recorder(World):
    """Runs doveadm on a node and keeps what it was asked and said."""

    def __init__(self, node, user=None):
        super().__init__()
        self.node = node
        self.become = f"runuser -u {user} -- " if user else ""
        self.calls = []

    def __call__(self, argv, seconds):
        begin = time.monotonic()
        done = on(self.node, f"LC_ALL=C {self.become}timeout {seconds:.1f} {shlex.join(argv)}")
        took = round(time.monotonic() - begin, 2)
        self.now += took
        self.calls.append({"argv": argv, "rc": done.returncode, "seconds": took, "stdout": done.stdout, "stderr": done.stderr})
        return done.returncode, done.stdout, done.stderr

    def sleep(self, seconds):
        time.sleep(seconds)
        super().sleep(seconds)


def keep(path, calls):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(calls, indent=1, ensure_ascii=False) + "\n")


RESET = (
    "".join(
        f"doveadm director add {host}@{tag} 100 || (doveadm director remove {host}; doveadm director add {host}@{tag} 100);"
        f"doveadm director up {host};"
        for host, tag in RING.items()
    )
    + "doveadm director flush -F all"
)


def prepare(case, when):
    for node, command in (case.get(when) or {}).items():
        on(node, command, check=True)


def record(case):
    print(case["module"], "-", case["name"], flush=True)
    for old in TRANSCRIPTS.glob(f"{case['module']}/{transcript_of(case, '*').name}"):
        old.unlink()
    if case["module"].startswith("director_"):
        on("director1", RESET, check=True)
    prepare(case, "before")
    try:
        with tempfile.TemporaryDirectory() as state_dir:
            for run in case.get("runs", ["check", "real", "again"]):
                recorder = Recorder(case["node"], case.get("as"))
                result = perform(case, recorder, run == "check", state_dir)
                keep(transcript_of(case, run), recorder.calls)
                print("   ", run, {key: result.get(key) for key in ("changed", "error", "msg", "commands") if key in result})
    finally:
        prepare(case, "after")


def record_errors(words):
    """The failures of single commands, all in one file."""
    if "errors" not in words:
        return
    calls = []
    for case in load_errors():
        print("errors -", case["name"], flush=True)
        on("director1", RESET, check=True)
        prepare(case, "before")
        try:
            recorder = Recorder(case["node"], case.get("as"))
            recorder(["doveadm", *case["argv"].split()], 60)
        finally:
            prepare(case, "after")
        calls.append({"name": case["name"], **recorder.calls[0]})
        print("   ", recorder.calls[0]["rc"], recorder.calls[0]["stderr"].strip()[:150])
    keep(ERRORS, calls)


def main():
    words = " ".join(sys.argv[1:])
    record_errors(words or "errors")
    for case in load_cases():
        if words in f"{case['module']} {case['name']}":
            record(case)


if __name__ == "__main__":
    main()
