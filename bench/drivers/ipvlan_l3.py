"""ipvlan in L3 mode: each host routes for its containers, and nobody asks for them by ARP."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import IPv4Network
from typing import ClassVar

from bench.capability import Capability
from bench.drivers._on_parent import OnParent, own_range
from bench.drivers.base import Site, SiteHost


class IpvlanL3Driver(OnParent):
    name = "ipvlan-l3"
    title = "ipvlan, L3 mode"
    kind = "ipvlan"
    settings: ClassVar = {"ipvlan_mode": "l3"}
    needs = (
        "ipvlan in the kernel; between hosts, routes to each other's containers (netbench sets "
        "them as root) and a network that lets packets with the containers' addresses through"
    )
    requires: ClassVar = frozenset({Capability.IPVLAN})
    usual = False

    def routes(
        self, site: Site, host: SiteHost, hosts: Sequence[SiteHost]
    ) -> Mapping[IPv4Network, str]:
        # Docker leaves the routes between hosts to the user: in this mode containers answer no
        # ARP, so each host is the next hop to its own.
        return {own_range(site, other): other.address for other in hosts if other.name != host.name}


DRIVER = IpvlanL3Driver()
