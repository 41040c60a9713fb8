"""What fails at three in the morning: each time mail still goes in and out, and does again afterwards.

Deliveries repeat as a mail server's queue does; a login may be cut, the next one must succeed.
"""

from __future__ import annotations

import time

import pytest
from clients import eventually


@pytest.fixture
def mail_flows(clients, users):
    """A function: one message for a user of each partition goes in and comes out."""

    def check(seconds=60):
        for partition, names in users.items():
            user = names[3]
            message_id = eventually(
                lambda user=user: clients.deliver(user), seconds, f"a delivery to {user} of partition {partition}"
            )
            eventually(
                lambda user=user, message_id=message_id: clients.has(user, message_id),
                seconds,
                f"the message of {user} of partition {partition} by IMAP",
            )

    check()
    return check


@pytest.fixture
def healed(lab_is_whole, lab_node):
    """Afterwards the cluster is whole again, else the next test would fail for this one's reason."""
    yield
    for node in list(lab_node.killed):
        lab_node.start(node)
    eventually(lab_is_whole, 60, "a whole cluster", interval=1)


def test_haproxy_stops_on_the_holder_of_the_vip(nodes, vip_holder, mail_flows, healed):
    holder = vip_holder()
    holder.run("systemctl stop haproxy")
    eventually(lambda: vip_holder().name != holder.name, 20, "the VIP's move to the other load balancer")
    mail_flows()
    holder.run("systemctl start haproxy")
    mail_flows()


@pytest.mark.parametrize(
    ("service", "group"),
    [
        ("dovecot", "dovecot_backends"),
        ("dovecot", "dovecot_directors"),
        ("haproxy", "dovecot_loadbalancers"),
        ("keepalived", "dovecot_loadbalancers"),
    ],
)
def test_what_was_killed_is_back_by_itself(service, group, nodes, vip_holder, mail_flows, healed):
    node = vip_holder() if group == "dovecot_loadbalancers" else nodes.of(group)[0]
    killed = main_process(node, service)
    node.run("kill -KILL %s", killed)
    eventually(lambda: main_process(node, service) not in ("0", killed), 10, f"another {service} on {node.name}")
    eventually(lambda: node.run(f"systemctl is-active {service}"), 10, f"an active {service} on {node.name}")
    mail_flows()


@pytest.mark.parametrize("command", ["systemctl stop dovecot", "doveadm stop"])
def test_a_dovecot_that_an_operator_stopped_stays_so(command, nodes, mail_flows, healed):
    backend = nodes.pair_of("b")[0]
    backend.run(command)
    try:
        time.sleep(4)  # four times as long as systemd waits before it starts again what was killed
        assert main_process(backend, "dovecot") == "0"
    finally:
        backend.run("systemctl start dovecot")
    mail_flows()


def main_process(node, service):
    return node.run("systemctl show --property MainPID --value %s", service).strip()


def test_a_whole_load_balancer_dies(lab_node, vip_holder, mail_flows, healed):
    holder = vip_holder()
    lab_node.kill(holder)
    eventually(lambda: vip_holder().name != holder.name, 20, "the VIP's move to the other load balancer")
    mail_flows()
    lab_node.start(holder)
    mail_flows()


def test_a_director_dies(nodes, lab_node, mail_flows, healed):
    director = nodes.of("dovecot_directors")[0]
    lab_node.kill(director)
    mail_flows()
    lab_node.start(director)
    mail_flows()


@pytest.mark.parametrize("how", ["dovecot stops", "the node dies", "dovecot hangs"])
def test_a_backend_fails(how, nodes, lab_node, mail_flows, users, healed):
    """Nobody is awake: the directors' monitor sends its users to the partner, and takes it back later."""
    backend = nodes.pair_of("a")[0]
    # how each failure ends stands further down: the test reads in the order of what happens
    if how == "dovecot stops":
        backend.run("systemctl stop dovecot")
    elif how == "the node dies":
        lab_node.kill(backend)
    else:
        backend.run("systemctl kill --signal=STOP dovecot")

    eventually(lambda: nodes.state_of(backend) == "down", 40, f"{backend.name} down at the directors")
    mail_flows()

    if how == "dovecot stops":
        backend.run("systemctl start dovecot")
    elif how == "the node dies":
        lab_node.start(backend)
    else:
        backend.run("systemctl kill --signal=CONT dovecot")
    eventually(lambda: nodes.state_of(backend) == "up", 40, f"{backend.name} up again at the directors")
    mail_flows()


def test_a_backend_that_an_operator_took_down_stays_down(nodes, mail_flows, healed):
    """Planned work: it answers all the time, or again, and still gets no users until it is raised."""
    backend = nodes.pair_of("b")[0]
    director = nodes.of("dovecot_directors")[0]
    director.run("doveadm director down %s", backend.address)
    director.run("doveadm director flush %s", backend.address)
    time.sleep(4)
    backend.run("systemctl restart dovecot")
    mail_flows()
    time.sleep(10)  # longer than the monitor needs to take a backend back
    assert nodes.state_of(backend) == "down"
    director.run("doveadm director up %s", backend.address)


def test_a_backend_that_just_got_the_users_of_another_may_be_slow_but_not_for_ever(nodes, mail_flows, healed):
    """To send them all back would overload the other in turn, and so on. Dovecot hangs here, as slow as can be."""
    other, backend = nodes.pair_of("a")
    director = nodes.of("dovecot_directors")[0]
    director.run("doveadm director down %s", other.address)
    time.sleep(4)  # each monitor looks once
    director.run("doveadm director up %s", other.address)
    backend.run("systemctl kill --signal=STOP dovecot")
    try:
        time.sleep(6.5)  # longer than the monitor needs to take another backend out that hangs
        assert nodes.state_of(backend) == "up"
        eventually(lambda: nodes.state_of(backend) == "down", 10, f"{backend.name}, which never greets, to be taken out")
    finally:
        backend.run("systemctl kill --signal=CONT dovecot")
    eventually(lambda: nodes.state_of(backend) == "up", 40, f"{backend.name} up again at the directors")
    mail_flows()


def test_what_was_delivered_while_a_backend_was_down_is_on_it_afterwards(nodes, clients, users, replicated, healed):
    backend, partner = nodes.pair_of("a")
    user = users["a"][0]
    backend.run("systemctl stop dovecot")
    # as a mail server's queue would, until the directors have noticed
    delivered = [clients.deliver(user, attempts=60) for _number in range(5)]
    backend.run("systemctl start dovecot")
    partner.run("doveadm replicator replicate -p high %s", user)
    for message_id in delivered:
        replicated(user, "a", message_id)


def test_an_operators_drain_survives_a_deployment_and_a_directors_restart(nodes, ansible, healed):
    backend = nodes.pair_of("b")[1]
    one, other = nodes.of("dovecot_directors")
    one.run("doveadm director update %s 0", backend.address)
    try:
        other.run("systemctl restart dovecot")
        done = ansible("site.yml")
        assert done.returncode == 0, done.stdout[-3000:]
        for director in (one, other):
            rows = director.doveadm("director", "status")
            weights = {row["mail server ip"]: row["vhosts"] for row in rows}
            assert weights[backend.address] == "0", f"{director.name} gave the drained backend users again"
    finally:
        one.run("doveadm director update %s 100", backend.address)
