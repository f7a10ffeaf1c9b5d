"""What macvlan and ipvlan have in common: containers that sit on an interface of their host."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Network
from itertools import islice
from typing import ClassVar

from bench.drivers.base import Driver, NetworkSpec, Site, SiteHost
from bench.model import Access, Placement
from bench.waypoint import End, Waypoint, avoiding, container, parent


def own_range(site: Site, host: SiteHost) -> IPv4Network:
    """The addresses that the containers of one host get.

    Each engine hands out addresses by itself, so each gets a range that no other has. The first
    /24 stays unused: gateways default to an address of the subnet's beginning.
    """
    return next(islice(site.macvlan_subnet.subnets(new_prefix=24), host.index + 1, None))


class OnParent(Driver):
    """A driver whose containers' interfaces are made from an interface of the host.

    ``kind`` is Docker's name of the driver and ``settings`` its options besides the parent.
    """

    kind: str
    settings: ClassVar[Mapping[str, str]] = {}
    accesses: ClassVar = {
        Placement.SAME_HOST: (Access.DIRECT, Access.DNS),
        Placement.CROSS_HOST: (Access.DIRECT, Access.DNS),
    }
    takes_parent = True

    def refusal(self, site: Site) -> str:
        for host, networks in site.in_use.items():
            for network in networks:
                if network.prefixlen > 0 and network.overlaps(site.macvlan_subnet):
                    return (
                        f"netbench_macvlan_subnet {site.macvlan_subnet} overlaps {network}, which "
                        f"{host} uses; set it to an IPv4 network that is free on this layer 2"
                    )
        return ""

    def network(self, site: Site) -> NetworkSpec:
        return NetworkSpec(self.kind, "swarm", from_config=True)

    def host_network(self, site: Site, host: SiteHost) -> NetworkSpec:
        return NetworkSpec(
            self.kind,
            "local",
            {"parent": host.parent, **self.settings},
            subnet=str(site.macvlan_subnet),
            ip_range=str(own_range(site, host)),
            config_only=True,
        )

    def path(self, placement: Placement, access: Access) -> tuple[Waypoint, ...]:
        client, server = End.CLIENT, End.SERVER
        if placement is Placement.SAME_HOST:
            # Neighbours on one parent reach each other above it.
            return (container(client), container(server), avoiding(parent(server)))
        return (container(client), parent(client), parent(server), container(server))
