"""macvlan in bridge mode: containers with MAC addresses of their own on the hosts' layer 2."""

from __future__ import annotations

from itertools import islice
from typing import ClassVar

from bench.drivers.base import Driver, NetworkSpec, Site, SiteHost
from bench.model import Access, Placement
from bench.waypoint import End, Waypoint, avoiding, container, parent


class MacvlanDriver(Driver):
    name = "macvlan"
    title = "macvlan"
    access: ClassVar = {Placement.SAME_HOST: Access.DIRECT, Placement.CROSS_HOST: Access.DIRECT}
    needs = (
        "macvlan in the kernel and a network that lets more than one MAC address through a port "
        "(most clouds do not)"
    )

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
        return NetworkSpec("macvlan", "swarm", from_config=True)

    def host_network(self, site: Site, host: SiteHost) -> NetworkSpec:
        # Each engine hands out addresses by itself, so each gets a range that no other has. The
        # first /24 stays unused: gateways default to an address of the subnet's beginning.
        own = next(islice(site.macvlan_subnet.subnets(new_prefix=24), host.index + 1, None))
        return NetworkSpec(
            "macvlan",
            "local",
            {"parent": host.parent},
            subnet=str(site.macvlan_subnet),
            ip_range=str(own),
            config_only=True,
        )

    def path(self, placement: Placement, access: Access) -> tuple[Waypoint, ...]:
        client, server = End.CLIENT, End.SERVER
        if placement is Placement.SAME_HOST:
            # Neighbours on one parent reach each other above it, in bridge mode.
            return (container(client), container(server), avoiding(parent(server)))
        return (container(client), parent(client), parent(server), container(server))


DRIVER = MacvlanDriver()
