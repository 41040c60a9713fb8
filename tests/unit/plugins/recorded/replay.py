"""Runs a module's work against doveadm's recorded answers, or against a node while recording them."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.mailcluster.dovecot.plugins.module_utils import _module
from ansible_collections.mailcluster.dovecot.plugins.module_utils._doveadm import Doveadm, DoveadmError

FOLDER = Path(__file__).parent
TRANSCRIPTS = FOLDER / "transcripts"
ERRORS = FOLDER / "errors" / "transcript.json"
# What changes something; in check mode none of these may be called.
WRITES = re.compile(
    r"doveadm (director (add|update|remove|up|down|move|kick|flush|ring add|ring remove)|replicator (add|remove|replicate)"
    r"|purge|force-resync|quota recalc)\b"
)


def load_cases():
    return [dict(case, module=path.stem) for path in sorted(FOLDER.glob("*.yml")) for case in yaml.safe_load(path.read_text())]


def load_errors():
    return yaml.safe_load((FOLDER / "errors" / "cases.yml").read_text())


def transcript_of(case, run):
    slug = re.sub(r"[^a-z0-9]+", "-", case["name"].lower()).strip("-")
    return TRANSCRIPTS / case["module"] / f"{slug}.{run}.json"


def import_module(name):
    return importlib.import_module(f"ansible_collections.mailcluster.dovecot.plugins.modules.{name}")


def is_write(argv):
    return bool(WRITES.search(" ".join(argv).replace("-f json ", "")))


class World:
    """Time as it passed when it was recorded: the calls took what they took, and nothing else takes any."""

    def __init__(self):
        self.now = 0.0

    def clock(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds


class Replay(World):
    """Answers the recorded calls in their order; fails on an unexpected one, and C(finish) on a missing one."""

    def __init__(self, calls):
        super().__init__()
        self.left = list(calls)

    def __call__(self, argv, _seconds):
        assert self.left, f"a call that was not recorded: {argv}"
        call = self.left.pop(0)
        assert argv == call["argv"], "another call than the recorded one"
        self.now += call["seconds"]
        return call["rc"], call["stdout"], call["stderr"]

    def finish(self):
        assert not self.left, f"recorded, but not called: {[call['argv'] for call in self.left]}"


def perform(case, world, check_mode, state_dir):
    """The result of the module's work, or its failure as the module would return it."""
    module = import_module(case["module"])
    spec = dict(_module.TIMEOUT, **_module.SOCKET, **module.OPTIONS)
    given = dict(case["params"], **({"state_dir": str(state_dir)} if "state_dir" in spec else {}))
    validated = ArgumentSpecValidator(spec).validate(given)
    assert not validated.error_messages, validated.error_messages
    params = validated.validated_parameters
    doveadm = Doveadm(world, params["timeout"], world.clock, world.sleep)
    extra = {"alive": lambda _host, _port: case["alive"]} if "alive" in case else {}
    # backends were not asked for their sessions: the directors' users count
    extra.update({"sessions": lambda _doveadm, _host: None} if case["module"] == "director_backend" else {})
    extra.update({"sessions_of": lambda _doveadm, _host, _user: None} if case["module"] == "director_user" else {})
    extra.update({"clock": lambda: case["now"]} if "now" in case else {})
    try:
        return module.converge(doveadm, params, check_mode, **extra)
    except DoveadmError as error:
        return dict({"failed": True, "msg": str(error), "changed": doveadm.changed}, **error.details())
