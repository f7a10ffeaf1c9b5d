"""Swarm's overlay: VXLAN (RFC 7348) between the hosts' data addresses."""

from __future__ import annotations

from typing import ClassVar

from bench.drivers.base import Driver, NetworkSpec, Site
from bench.model import Access, Placement
from bench.waypoint import End, Waypoint, avoiding, container, data, vxlan


class OverlayDriver(Driver):
    name = "overlay"
    title = "overlay"
    access: ClassVar = {Placement.SAME_HOST: Access.DIRECT, Placement.CROSS_HOST: Access.DIRECT}
    needs = "VXLAN in the kernel; UDP 4789 and 7946 and TCP 7946 open between the hosts"

    def refusal(self, site: Site) -> str:
        for host, address in site.swarm_elsewhere.items():
            return (
                f"{host} is in the swarm with the address {address}, which is not on the data "
                "network: overlay traffic would take another network than the baseline's; form "
                "the swarm on the data addresses, or leave it and let netbench do so"
            )
        return ""

    def network(self, site: Site) -> NetworkSpec:
        # The engine takes the underlay's MTU here and subtracts VXLAN's 50 bytes by itself.
        return NetworkSpec(
            "overlay",
            "swarm",
            {"com.docker.network.driver.mtu": str(site.mtu)},
            subnet=str(site.overlay_subnet),
        )

    def path(self, placement: Placement, access: Access) -> tuple[Waypoint, ...]:
        client, server = End.CLIENT, End.SERVER
        if placement is Placement.SAME_HOST:
            return (container(client), container(server), avoiding(vxlan(server)))
        there = (container(client), vxlan(client), data(client))
        return (*there, data(server), vxlan(server), container(server))


DRIVER = OverlayDriver()
