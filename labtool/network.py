"""The bridge that nodes and this machine share."""

from __future__ import annotations

import ipaddress
import json
import re
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

from labtool import paths
from labtool.podman import podman
from labtool.system import LabError, run

DEFAULT_MTU = 1500
# Marks the packet filter rules that the lab makes itself.
COMMENT = "mailcluster-lab"
FORWARDING = Path("/proc/sys/net/ipv4/ip_forward")


def create(network: ipaddress.IPv4Network) -> str:
    """Create the nodes' network, and return its name."""
    refuse_overlap(network, _json("addr"), _json("route", "show", "table", "all"))
    # A new name each time. podman reserves addresses by the network's name, in a place that it shares with the
    # user's own podman, and a lab that was killed leaves its reservations there.
    name = f"mailcluster-{secrets.token_hex(4)}"
    podman("network", "create", f"--subnet={network}", f"--gateway={network[1]}", f"--opt=mtu={current_mtu()}", name)
    # This podman has no option for the bridge's name. Later runs recognise the bridge by ours.
    file = paths.PODMAN_NETWORKS / f"{name}.json"
    draft = file.with_suffix(".new")
    draft.write_text(json.dumps(json.loads(file.read_text()) | {"network_interface": paths.BRIDGE}, indent=2))
    draft.rename(file)
    return name


def make_bridge(network: ipaddress.IPv4Network) -> None:
    """Create the bridge for virtual machines, before any container. podman uses an existing bridge.

    podman adds its own rules for containers. The rules here are only for virtual machines.
    """
    refuse_overlap(network, _json("addr"), _json("route", "show", "table", "all"))
    # With a fixed address: by default, it is the address of a member, and changes with the members.
    run(["ip", "link", "add", paths.BRIDGE, "address", mac(str(network[1])), "mtu", str(current_mtu()), "type", "bridge"])
    run(["ip", "address", "add", f"{network[1]}/{network.prefixlen}", "dev", paths.BRIDGE])
    run(["ip", "link", "set", paths.BRIDGE, "up"])
    FORWARDING.write_text("1")
    for table, *rule in own_rules(network):
        run(["iptables", "--wait", "--table", table, "--append", *rule, "-m", "comment", "--comment", COMMENT])


def own_rules(network: ipaddress.IPv4Network) -> list[list[str]]:
    """Let nodes reach each other, even if this machine forwards nothing else, and the outside with its address."""
    subnet = str(network)
    return [
        ["filter", "FORWARD", "-s", subnet, "-j", "ACCEPT"],
        ["filter", "FORWARD", "-d", subnet, "-m", "conntrack", "--ctstate", "RELATED,ESTABLISHED", "-j", "ACCEPT"],
        # Between nodes, and to a multicast group (VRRP), a node must keep its own address.
        ["nat", "POSTROUTING", "-s", subnet, "-d", "224.0.0.0/4", "-j", "ACCEPT"],
        ["nat", "POSTROUTING", "-s", subnet, "!", "-d", subnet, "-j", "MASQUERADE"],
    ]


def let_out(address: str, name: str) -> None:
    """Let an enclosure reach the outside, with this machine's address."""
    FORWARDING.write_text("1")
    for table, *rule in rules_out(address):
        # Insert: rules of the machine's owner that drop packets must not come first.
        run(["iptables", "--wait", "--table", table, "--insert", *rule, "-m", "comment", "--comment", f"{COMMENT}-{name}"])


def rules_out(address: str) -> list[list[str]]:
    return [
        ["filter", "FORWARD", "-s", address, "-j", "ACCEPT"],
        ["filter", "FORWARD", "-d", address, "-m", "conntrack", "--ctstate", "RELATED,ESTABLISHED", "-j", "ACCEPT"],
        ["nat", "POSTROUTING", "-s", address, "-j", "MASQUERADE"],
    ]


def keep_in(name: str) -> None:
    """The reverse of let_out."""
    _delete_rules(lambda listed: (rules_marked(listed, f"{COMMENT}-{name}"), []))


def is_free(network: ipaddress.IPv4Network) -> bool:
    """Whether nothing on this machine uses the network."""
    try:
        refuse_overlap(network, _json("addr"), _json("route", "show", "table", "all"))
    except LabError:
        return False
    return True


def nameservers() -> list[str]:
    """Name servers that other networks can use. If this machine has a resolver of its own, those that the resolver uses."""
    for file in (Path("/etc/resolv.conf"), Path("/run/systemd/resolve/resolv.conf")):
        if file.exists() and (found := nameservers_of(file.read_text())):
            return found
    return []


def nameservers_of(resolv_conf: str) -> list[str]:
    """Name servers in the file, without those that only this machine can use."""
    pairs = (line.split()[:2] for line in resolv_conf.splitlines() if len(line.split()) > 1)
    return [address for word, address in pairs if word == "nameserver" and not _is_loopback(address)]


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address.partition("%")[0]).is_loopback
    except ValueError:
        return True


def existing() -> list[str]:
    """Names of the lab's networks in podman."""
    return [path.stem for path in paths.PODMAN_NETWORKS.glob("mailcluster-*.json")]


def remove() -> list[str]:
    names = existing()
    for name in names:
        podman("network", "rm", "--force", name)
    return [f"network {name}" for name in names]


def raze() -> list[str]:
    """Remove the bridge and the packet filter rules that podman has forgotten, or did not create."""
    _delete_rules(own_rules_of)
    bridge = [link for link in _json("addr") if link["ifname"] == paths.BRIDGE]
    if not bridge and not existing():
        return []
    subnets = [
        str(ipaddress.ip_interface(f"{entry['local']}/{entry['prefixlen']}").network)
        for link in bridge
        for entry in link.get("addr_info", [])
    ]
    for name in existing():
        file = paths.PODMAN_NETWORKS / f"{name}.json"
        subnets += [subnet["subnet"] for subnet in json.loads(file.read_text()).get("subnets", [])]
        file.unlink()
    run(["ip", "link", "delete", paths.BRIDGE], check=False)
    _delete_rules(lambda listed: rules_of(listed, subnets))
    return [f"bridge {paths.BRIDGE}"]


def _delete_rules(select: Callable[[str], tuple[list[list[str]], list[str]]]) -> None:
    """Delete the rules and chains that `select` finds in the packet filter's listing."""
    for table in ("nat", "filter"):
        rules, chains = select(run(["iptables", "--wait", "--table", table, "--list-rules"], check=False).stdout)
        for words in [*(["-D", *rule] for rule in rules), *([flag, chain] for chain in chains for flag in ("-F", "-X"))]:
            run(["iptables", "--wait", "--table", table, *words], check=False, to_the_end=True)


def own_rules_of(listed: str) -> tuple[list[list[str]], list[str]]:
    """The rules of make_bridge in the output of ``iptables -S``, and no chains."""
    return rules_marked(listed, COMMENT), []


def rules_marked(listed: str, comment: str) -> list[list[str]]:
    return [words[1:] for words in map(str.split, listed.splitlines()) if words[:1] == ["-A"] and comment in words]


def rules_of(listed: str, subnets: list[str]) -> tuple[list[list[str]], list[str]]:
    """netavark's rules for the subnets in the output of ``iptables -S``, and its chains for them."""
    rules = [
        words[1:]
        for words in map(str.split, listed.splitlines())
        if words[:1] == ["-A"] and any("NETAVARK" in word for word in words) and set(subnets).intersection(words)
    ]
    chains = {rule[-1] for rule in rules if re.fullmatch(r"NETAVARK-[0-9A-F]{13}", rule[-1])}
    return rules, sorted(chains)


def refuse_overlap(network: ipaddress.IPv4Network, addresses: list[dict[str, Any]], routes: list[dict[str, Any]]) -> None:
    """Refuse a network that is in use, because this machine's traffic for it would go to the lab."""
    taken = {
        f"interface {link['ifname']} has {entry['local']}/{entry['prefixlen']}": f"{entry['local']}/{entry['prefixlen']}"
        for link in addresses
        if link["ifname"] != paths.BRIDGE
        for entry in link.get("addr_info", [])
        if entry.get("family") == "inet"
    }
    taken |= {
        f"a route to {route['dst']} goes over {route['dev']}": route["dst"]
        for route in routes
        if "dev" in route and route["dev"] != paths.BRIDGE and route.get("dst", "default") != "default"
    }
    for reason, text in taken.items():
        try:
            other = ipaddress.IPv4Network(text, strict=False)
        except ValueError:
            continue  # an IPv6 route
        if network.overlaps(other):
            raise LabError(
                f"The lab's network {network} is in use on this machine: {reason}.\n"
                "Remove that, or use other addresses in the inventory (dovecot_vip, ansible_host)."
            )


def mac(address: str) -> str:
    """A locally administered hardware address that contains the IPv4 address."""
    return ":".join(f"{byte:02x}" for byte in (0x02, 0x6D, *ipaddress.IPv4Address(address).packed))


def interfaces(prefix: str) -> list[str]:
    """The interfaces of this machine whose names begin with the prefix."""
    return [link["ifname"] for link in _json("link") if link["ifname"].startswith(prefix)]


def peer_of(interface: str, pid: str) -> str:
    """This machine's end of an interface that a process sees."""
    inside = run(["nsenter", "--target", pid, "--net", "ip", "-json", "link", "show", interface]).stdout
    index = json.loads(inside)[0]["link_index"]
    return next(link["ifname"] for link in _json("link") if link["ifindex"] == index)


def set_link(interface: str, *, up: bool) -> None:
    run(["ip", "link", "set", interface, "up" if up else "down"])


def set_port(interface: str, *, forwards: bool) -> None:
    """Set the state of a bridge's port. The numbers are the kernel's for disabled and forwarding."""
    run(["bridge", "link", "set", "dev", interface, "state", "3" if forwards else "0"])


def set_isolated(interface: str, *, isolated: bool) -> None:
    """Whether a port of a bridge exchanges nothing with others that are so; this machine it reaches in any case."""
    run(["bridge", "link", "set", "dev", interface, "isolated", "on" if isolated else "off"])


def current_mtu() -> int:
    return mtu(_json("route", "show", "default"), _json("link"))


def mtu(default_routes: list[dict[str, Any]], links: list[dict[str, Any]]) -> int:
    """What fits through this machine's way out: a larger bridge would lose large packets to the outside."""
    devices = {route.get("dev") for route in default_routes}
    return min((link["mtu"] for link in links if link["ifname"] in devices), default=DEFAULT_MTU)


def _json(*words: str) -> list[dict[str, Any]]:
    return json.loads(run(["ip", "-json", *words]).stdout or "[]")
