"""What the tests of the scenarios stand on: the lab as its own status command tells it."""

from __future__ import annotations

import ipaddress
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from pathlib import Path

import pytest
import testinfra
from clients import Clients, eventually

from labtool import priority, processes, vm

CHECKOUT = Path(__file__).resolve().parents[2]
CONTROL_SOCKETS = "/run/mailcluster-lab/cp"  # as labtool/paths.py has it


@pytest.fixture(scope="session")
def lab():
    done = subprocess.run([CHECKOUT / "lab", "status", "--json"], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


@pytest.fixture(scope="session")
def clients(lab):
    return Clients(lab)


class Node:
    """A node of the lab, with testinfra's view of it in C(host)."""

    def __init__(self, entry):
        self.name = entry["name"]
        self.address = entry["address"]
        self.groups = entry["groups"]
        self.partition = entry["partition"]
        key = entry["ssh"][entry["ssh"].index("-i") + 1]
        # one connection for all commands; the lab forgets it when it cuts a node's power
        self.host = testinfra.get_host(
            f"ssh://root@{self.address}",
            ssh_identity_file=key,
            controlpersist=60,
            ssh_extra_args=f"-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR "
            f"-o ControlPath={CONTROL_SOCKETS}/test-%C",
        )

    def run(self, command, *args):
        """Standard output of a command that must succeed."""
        return self.host.check_output(command, *args)

    def is_up(self):
        try:
            return self.host.run("true").rc == 0
        except RuntimeError:  # ssh itself failed
            return False

    def holds(self, address):
        return f" {address}/" in self.run("ip -oneline address")

    def doveadm(self, *words):
        """The rows that doveadm prints."""
        return json.loads(self.run("doveadm -f json " + " ".join(["%s"] * len(words)), *words) or "[]")


class Nodes(dict):
    def of(self, group):
        return [node for node in self.values() if group in node.groups]

    def pair_of(self, partition):
        return [node for node in self.values() if node.partition == partition]

    def state_of(self, backend):
        """Up or down, as the ring has it."""
        rows = self.of("dovecot_directors")[0].doveadm("director", "status")
        return next(row["state"] for row in rows if row["mail server ip"] == backend.address)


def nodes_of(lab):
    return Nodes((entry["name"], Node(entry)) for entry in lab["nodes"])


@pytest.fixture(scope="session")
def nodes(lab):
    return nodes_of(lab)


def users_of(lab):
    """User names by partition."""
    by_partition = {}
    for user in lab["users"]:
        by_partition.setdefault(user["partition"], []).append(user["name"])
    return by_partition


@pytest.fixture(scope="session")
def users(lab):
    return users_of(lab)


def holder_of(lab, nodes):
    """A function that tells which node has the VIP now."""
    candidates = nodes.of("dovecot_loadbalancers") or nodes.of("dovecot_replicated") or nodes.of("dovecot_active_passive")

    def holder():
        holders = [node for node in candidates if node.is_up() and node.holds(lab["vip"])]
        assert len(holders) == 1, f"the VIP is held by {[node.name for node in holders]}"
        return holders[0]

    return holder


@pytest.fixture(scope="session")
def vip_holder(lab, nodes):
    return holder_of(lab, nodes)


def whole_of(lab, nodes):
    """A function that tells whether every node is up and in its place; what ./lab status judges, in a fraction of its time.

    Who waits for it asks often. So it asks the node first that was not well the last time, and the others only if it is now.
    """
    unwell = []

    def whole():
        while unwell:
            assert_well(unwell[-1])
            unwell.pop()
        with ThreadPoolExecutor() as pool:
            looks = {node.name: pool.submit(assert_well, node) for node in nodes.values()}
        unwell.extend(nodes[name] for name, look in looks.items() if look.exception())
        addresses = "".join(look.result() for look in looks.values())
        assert not lab["vip"] or f" {lab['vip']}/" in addresses, "nobody holds the VIP"
        return True

    return whole


@pytest.fixture(scope="session")
def lab_is_whole(lab, nodes):
    return whole_of(lab, nodes)


UNITS = {
    "dovecot_loadbalancers": "haproxy keepalived",
    "dovecot_proxies": "dovecot",
    "dovecot_directors": "dovecot",
    "dovecot_backends": "dovecot",
    "dovecot_replicated": "mailcluster-dovecot-partner mailcluster-dovecot-changes",
    "dovecot_nfs_servers": "nfs-server",
}


def assert_well(node):
    """The node answers, its services run, its ring is in sync, nobody's replication has failed; gives its addresses."""
    assert node.is_up(), f"{node.name} does not answer"
    units = " ".join(words for group, words in UNITS.items() if group in node.groups)
    command = [f"systemctl is-active --quiet {units}"] if units else []
    command += (
        [
            "doveadm director ring status | grep -q 'ring synced'",
            "! doveadm -f tab director status | awk -F '\\t' 'NR > 1 && ($3 != 100 || $4 != \"up\")' | grep .",
        ]
        if "dovecot_directors" in node.groups
        else []
    )
    command += ["! doveadm -f tab replicator status '*' | grep -E '\ty$'"] if "dovecot_replicated" in node.groups else []
    return node.run(" && ".join([*command, "ip -oneline address"]))


@pytest.fixture
def lab_node():
    """Kills a node as a power cut does, and starts it again, at the end of the test at the latest."""
    power = LabNode()
    yield power
    for node in list(power.killed):
        power.start(node)


class LabNode:
    def __init__(self):
        self.killed = []

    def kill(self, node):
        self.killed.append(node)
        self._lab("kill", node)

    def start(self, node):
        self._lab("start", node)
        self.killed.remove(node)

    def paused(self, node):
        """The node hangs meanwhile, all of it."""
        return self._between("pause", "resume", node)

    def unplugged(self, node):
        """Nobody reaches the node meanwhile, nor we."""
        return self._between("unplug", "plug-in", node)

    @contextmanager
    def _between(self, begin, end, node):
        self._lab(begin, node)
        try:
            yield
        finally:
            self._lab(end, node)

    @staticmethod
    def _lab(verb, node):
        subprocess.run([sys.executable, "-m", "labtool", f"node-{verb}", node.name], check=True, capture_output=True)


@pytest.fixture(scope="session")
def replicated(nodes, clients):
    """A function that waits until both nodes of a pair have the message."""

    def wait(user, partition, message_id, folder="INBOX"):
        for node in nodes.pair_of(partition):
            eventually(
                lambda node=node: node.run("doveadm search -u %s mailbox %s header message-id %s", user, folder, message_id),
                what=f"the message of {user} on {node.name}",
            )

    return wait


@pytest.fixture(scope="session")
def second_address(lab):
    """Another address of this machine in the cluster's network, for a client elsewhere."""
    address = str(ipaddress.ip_network(f"{lab['vip']}/24", strict=False)[250])
    route = subprocess.run(["ip", "-json", "route", "get", lab["vip"]], capture_output=True, text=True, check=True)
    interface = json.loads(route.stdout)[0]["dev"]
    subprocess.run(["ip", "address", "replace", f"{address}/32", "dev", interface], check=True)
    yield address
    subprocess.run(["ip", "address", "delete", f"{address}/32", "dev", interface], check=True)


def run_playbook(playbook, *args):
    """Runs a playbook against the lab and gives the finished process."""
    return subprocess.run(
        [CHECKOUT / "lab", "run", "ansible-playbook", CHECKOUT / "playbooks" / playbook, *args],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


@pytest.fixture(scope="session")
def ansible(lab):
    return run_playbook


@pytest.fixture(scope="session")
def module(lab):
    """A function that runs a module on a node, and gives its result."""

    def run(node, name, *, check=False, options=(), **params):
        command = [
            CHECKOUT / "lab",
            "run",
            "ansible",
            getattr(node, "name", node),
            "--module-name",
            f"mailcluster.dovecot.{name}",
            *(["--args", json.dumps(params)] if params else []),
            *(["--check"] if check else []),
            *options,
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)
        _who, arrow, result = done.stdout.partition(" => ")
        assert arrow, done.stdout + done.stderr
        assert "Traceback" not in done.stdout + done.stderr
        return json.loads(result)

    return run


def pytest_configure(config):
    config.addinivalue_line("markers", "first: measures how long something takes; its scenario comes first meanwhile")


def pytest_collection_modifyitems(config, items):
    """Only those that ./lab test --failed names, if it names any."""
    again = json.loads(os.environ.get("LAB_TEST_AGAIN", "{}")).get(os.environ.get("MOLECULE_SCENARIO_NAME"))
    named = [item for item in items if f"{item.path.stem}::{item.name}" in again] if again else []
    if named:
        config.hook.pytest_deselected(items=[item for item in items if item not in named])
        items[:] = named


COMPUTED = {}  # CPU seconds by test


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item):
    with priority.first() if item.get_closest_marker("first") else nullcontext():
        before = processes.cpu_seconds()
        try:
            return (yield)
        finally:
            COMPUTED[item.nodeid] = processes.cpu_seconds() - before


def pytest_terminal_summary(terminalreporter):
    """What the machine's cores were busy with, nodes included; those of a node that was killed are lost."""
    terminalreporter.section(f"{sum(COMPUTED.values()):.0f} CPU seconds, of the 15 tests with most")
    for name, seconds in sorted(COMPUTED.items(), key=lambda item: -item[1])[:15]:
        terminalreporter.line(f"{seconds:.0f}s {name}")


def console(node):
    file = vm.console(node.name)
    return "\n".join(file.read_text(errors="replace").splitlines()[-20:]) if file.exists() else ""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """A failed test brings the last words of every Dovecot, haproxy and keepalived along, or those of a machine's kernel."""
    report = yield
    if report.when in ("setup", "call") and report.failed and "nodes" in item.funcargs:
        for node in item.funcargs["nodes"].values():
            try:
                log = node.host.run("journalctl -u dovecot -u haproxy -u keepalived -n 12 --no-pager -o short-precise")
                report.sections.append((f"journal of {node.name}", log.stdout))
            except RuntimeError as error:  # the node is dead, which may be the reason
                report.sections.append((f"journal of {node.name}", f"not readable: {error}\n{console(node)}"))
    return report
