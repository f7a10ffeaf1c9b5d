"""Swarm's overlay: VXLAN (RFC 7348) between the hosts' data addresses."""

from __future__ import annotations

from typing import ClassVar

from bench.capability import Capability
from bench.drivers.base import Driver, NetworkSpec, Site
from bench.model import Access, Placement
from bench.waypoint import (
    INGRESS,
    End,
    Waypoint,
    avoiding,
    balancer,
    container,
    data,
    gateway,
    mesh,
    on,
    outward,
    vxlan,
)


class OverlayDriver(Driver):
    name = "overlay"
    title = "overlay"
    accesses: ClassVar = {
        Placement.SAME_HOST: (
            Access.DIRECT,
            Access.DNS,
            Access.VIP,
            Access.PUBLISHED_HOST,
            Access.PUBLISHED_INGRESS,
        ),
        Placement.CROSS_HOST: (
            Access.DIRECT,
            Access.DNS,
            Access.VIP,
            Access.PUBLISHED_HOST,
            Access.PUBLISHED_HOST_PLAIN,
            Access.PUBLISHED_INGRESS,
            Access.PUBLISHED_INGRESS_PLAIN,
            Access.PUBLISHED_INGRESS_OTHER,
            Access.PUBLISHED_INGRESS_OTHER_PLAIN,
        ),
    }
    needs = "VXLAN in the kernel; UDP 4789 and 7946 and TCP 7946 open between the hosts"
    requires: ClassVar = frozenset({Capability.VXLAN})
    published = 300

    def refusal(self, site: Site) -> str:
        for host, address in site.swarm_elsewhere.items():
            return (
                f"{host} is in the swarm with the address {address}, which is not on the data "
                "network: overlay traffic would take another network than the baseline's; form "
                "the swarm on the data addresses, or leave it and let netbench do so"
            )
        return ""

    def needs_for(self, access: Access, placement: Placement) -> str:
        if (access, placement) == (Access.PUBLISHED_HOST, Placement.SAME_HOST):
            # The kernel would send the packet out of docker_gwbridge by which it came, and Docker
            # makes that bridge with icc=false.
            return f"{self.needs}; for a port of the client's own host the engine's userland proxy"
        return self.needs

    def network(self, site: Site) -> NetworkSpec:
        # The engine takes the underlay's MTU here and subtracts VXLAN's 50 bytes by itself.
        return NetworkSpec("overlay", "swarm", site.mtu_option(), subnet=str(site.overlay_subnet))

    def path(self, placement: Placement, access: Access) -> tuple[Waypoint, ...]:
        if access in (Access.DIRECT, Access.DNS, Access.VIP):
            return self._inside(placement, access)
        return self._published(placement, access)

    def _inside(self, placement: Placement, access: Access) -> tuple[Waypoint, ...]:
        """The whole way on the overlay. Swarm shares out a service's address in a namespace that
        it has for each network on each host: the client's host's decides."""
        client, server = End.CLIENT, End.SERVER
        begins = (container(client), *((balancer(client),) if access is Access.VIP else ()))
        if placement is Placement.SAME_HOST:
            return (*begins, container(server), avoiding(vxlan(server)))
        there = (*begins, *self._tunnel(client), data(client))
        return (*there, data(server), *self._tunnel(server), container(server))

    def _tunnel(self, end: End) -> tuple[Waypoint, ...]:
        return (vxlan(end),)

    def _published(self, placement: Placement, access: Access) -> tuple[Waypoint, ...]:
        """By a port of a host. A container leaves its overlay by the host's gateway bridge, and
        what a host publishes enters by it: this overlay carries none of it.

        From the task's own host the bytes may go from port to port of that bridge, which then
        counts nothing itself.
        """
        client, server = End.CLIENT, End.SERVER
        same = placement is Placement.SAME_HOST
        inside = on(INGRESS, container(server))
        if access in (Access.PUBLISHED_INGRESS_OTHER, Access.PUBLISHED_INGRESS_OTHER_PLAIN):
            # The client's own node takes it in, and the routing mesh's own overlay over to the
            # task's.
            begins = gateway(client) if access.plain else outward(client)
            there = (begins, mesh(client), on(INGRESS, vxlan(client)), data(client))
            return (*there, data(server), on(INGRESS, vxlan(server)), inside)
        crossing = () if same else (data(client), data(server))
        shared = access in (Access.PUBLISHED_INGRESS, Access.PUBLISHED_INGRESS_PLAIN)
        ends = (mesh(server), inside) if shared else (outward(server),)
        if access.plain:
            # The client has nothing of Docker's: its host sends what any machine would.
            return (*crossing, *ends, *((avoiding(container(server)),) if not shared else ()))
        begins_on = (outward(client), *(() if same else (gateway(client),)))
        return (*begins_on, *crossing, *ends, avoiding(container(client)))


DRIVER = OverlayDriver()
