"""The verbs of ./lab."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from labtool import bench, bmc, checks, inventory, lifecycle, nodes, status
from labtool.environment import environment
from labtool.system import LabError, lock, say

DEFAULT_VARIANT = "ideal"

# The faults that tests cause.
NODE_VERBS = {
    "kill": nodes.kill,
    "start": nodes.start,
    "pause": nodes.pause,
    "resume": nodes.resume,
    "unplug": nodes.unplug,
    "plug-in": nodes.plug_in,
    "part": nodes.part,
    "rejoin": nodes.rejoin,
    "pause-bmc": bmc.pause,
    "resume-bmc": bmc.resume,
    "keep-off": bmc.keep_off,
}

DESCRIPTION = """\
Builds Dovecot mail clusters on this machine from the inventories of this checkout, and tests them.

  ./lab up                   build, deploy and verify the 'ideal' cluster
  ./lab test                 everything: lint, sanity, unit tests, all scenarios
  ./lab run ansible all -m ping
  ./lab down
"""


def main(argv: Sequence[str] | None = None) -> int:
    arguments = _parser().parse_args(argv)
    try:
        return arguments.function(arguments)
    except LabError as error:
        say(f"lab: {error}")
        return 1
    except KeyboardInterrupt:
        say("\nlab: interrupted. The next './lab up' replaces what is unfinished, './lab down' removes it.")
        return 130
    except BrokenPipeError:
        # The reader (head, less) has closed the pipe.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="./lab", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(metavar="VERB", required=True)

    up = verbs.add_parser("up", help="build the nodes of a variant, deploy the cluster, and check that mail gets through")
    up.add_argument("variant", nargs="?", default=DEFAULT_VARIANT, help="a folder in inventories/ (default: %(default)s)")
    up.set_defaults(function=_up)

    show = verbs.add_parser("status", help="show the status of the cluster")
    show.add_argument("--json", action="store_true", help="print how to reach everything, as JSON")
    show.set_defaults(function=_status)

    test = verbs.add_parser("test", help="run all tests, or some parts")
    test.add_argument(
        "parts", nargs="*", metavar="PART", help=f"one of {', '.join(checks.names())} (default: all but the extra ones)"
    )
    test.add_argument("--all", dest="everything", action="store_true", help="also run the extra scenarios, as every night")
    test.add_argument("--without-vms", action="store_true", help="skip the scenarios that need virtual machines")
    test.add_argument("--list", action="store_true", help="only list the parts, and how long each took last time")
    test.add_argument("--failed", action="store_true", help="only run the parts and tests that failed last time")
    test.add_argument("--jobs", type=int, metavar="N", help="scenarios to run in parallel (default: depends on cores and memory)")
    test.set_defaults(function=_test)

    measure = verbs.add_parser("bench", help="run all benchmarks, or some of them")
    measure.add_argument("--list", action="store_true", help="only list the benchmarks")
    measure.add_argument("benchmarks", nargs="*", metavar="NAME", help="a file in benchmarks/, without .py (default: all)")
    measure.add_argument("--minutes", type=float, help="how long chaos runs (default: until each fault has occurred once)")
    measure.set_defaults(
        function=lambda arguments: bench.run(arguments.benchmarks, only_list=arguments.list, minutes=arguments.minutes)
    )

    command = verbs.add_parser("run", help="run a command with the lab's virtual environment, inventory and keys")
    command.add_argument("command", nargs=argparse.REMAINDER, metavar="COMMAND...", help="the command and its arguments")
    command.set_defaults(function=_run)

    down = verbs.add_parser("down", help="remove everything that the lab has created")
    down.add_argument("--keep-image", action="store_true", help="keep the node images for the next './lab up'")
    down.set_defaults(function=_down)

    # Internal: for Molecule's playbooks and for tests.
    create = verbs.add_parser("nodes-create")
    create.add_argument("--variant", required=True)
    create.add_argument("--stocked", action="store_true", help="install the packages that the roles need")
    create.add_argument("--bare", dest="stocked", action="store_false")
    create.set_defaults(function=_nodes_create)
    destroy = verbs.add_parser("nodes-destroy")
    destroy.set_defaults(function=_nodes_destroy)
    for verb in NODE_VERBS:
        single = verbs.add_parser(f"node-{verb}")
        single.add_argument("name")
        single.set_defaults(function=_node_verb, verb=verb)
    return parser


def _up(arguments: argparse.Namespace) -> int:
    with lock("up"):
        lifecycle.up(arguments.variant)
        return status.as_table()


def _status(arguments: argparse.Namespace) -> int:
    return status.as_json() if arguments.json else status.as_table()


def _test(arguments: argparse.Namespace) -> int:
    if arguments.list:
        return checks.show()
    if arguments.jobs is not None and arguments.jobs < 1:
        raise LabError(f"--jobs {arguments.jobs}: must be at least 1.")
    return checks.test(
        arguments.parts,
        everything=arguments.everything,
        without_vms=arguments.without_vms,
        failed=arguments.failed,
        jobs=arguments.jobs,
    )


def _run(arguments: argparse.Namespace) -> int:
    words = arguments.command[1:] if arguments.command[:1] == ["--"] else arguments.command
    if not words:
        raise LabError("No command given. Example: ./lab run ansible all -m ping")
    variant = lifecycle.current_variant() or DEFAULT_VARIANT
    settings = environment(inventory.path_of(variant))
    try:
        os.execvpe(words[0], words, settings)
    except FileNotFoundError:
        raise LabError(f"There is no command {words[0]!r}.") from None
    except PermissionError:
        raise LabError(f"{words[0]!r} is not executable.") from None


def _down(arguments: argparse.Namespace) -> int:
    with lock("down"):
        return lifecycle.down(keep_image=arguments.keep_image)


def _nodes_create(arguments: argparse.Namespace) -> int:
    with lock("nodes-create"):
        lifecycle.create_nodes(arguments.variant, fresh=True, stocked=arguments.stocked)
    return 0


def _nodes_destroy(_: argparse.Namespace) -> int:
    with lock("nodes-destroy"):
        lifecycle.destroy_nodes()
    return 0


def _node_verb(arguments: argparse.Namespace) -> int:
    with lock(f"node-{arguments.verb}"):
        NODE_VERBS[arguments.verb](_node(arguments.name))
    return 0


def _node(name: str) -> inventory.Node:
    cluster = status.current()
    found = next((node for node in cluster.nodes if node.name == name), None)
    if found is None:
        raise LabError(f"There is no node {name!r}. The nodes are: {', '.join(node.name for node in cluster.nodes)}.")
    return found
