# Copyright: mailcluster.dovecot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the cluster serves: the protocols of C(dovecot_protocols), each with its services, each of these with its ports."""

from __future__ import annotations

from collections.abc import Container, Mapping

OF_PROTOCOL = {"imap": ("imap", "imaps"), "pop3": ("pop3", "pop3s"), "lmtp": ("lmtp",), "sieve": ("sieve",)}
# The variables that have a port for each service.
PORTS = ("dovecot_ports", "dovecot_proxy_protocol_ports", "dovecot_health_ports")


def served(ports: Mapping[str, int], protocols: Container[str]) -> dict[str, int]:
    """Those of the ports, by service, that anybody listens at."""
    return {
        service: ports[service]
        for protocol, services in OF_PROTOCOL.items()
        if protocol in protocols
        for service in services
        if service in ports
    }


def how_to_leave_out(service: str) -> str:
    """For whoever tries it by a port: words to put behind others."""
    protocol = next(protocol for protocol, services in OF_PROTOCOL.items() if service in services)
    if protocol == "lmtp":
        return "; all mail comes in by it"
    services = " and ".join(OF_PROTOCOL[protocol])
    return f"; {services} {'are' if ' ' in services else 'is'} left out by a dovecot_protocols without {protocol}"
