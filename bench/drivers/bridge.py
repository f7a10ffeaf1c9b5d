"""A user-defined bridge on each host; across hosts a server is reached by its published port."""

from __future__ import annotations

from typing import ClassVar

from bench.drivers.base import Driver, NetworkSpec, Site
from bench.model import Access, Placement
from bench.waypoint import End, Waypoint, bridge, container, data, port


class BridgeDriver(Driver):
    name = "bridge"
    title = "bridge"
    accesses: ClassVar = {
        Placement.SAME_HOST: (Access.DIRECT, Access.DNS, Access.PUBLISHED_HOST),
        Placement.CROSS_HOST: (Access.PUBLISHED_HOST, Access.PUBLISHED_HOST_PLAIN),
    }
    needs = "iptables NAT on the hosts; published ports open between their data addresses"
    published = 100
    # Of a bridge in swarm scope the engine's resolver knows the containers alone (Docker 20.10).
    named_by_task = True

    def network(self, site: Site) -> NetworkSpec | None:
        # A node-local driver in swarm scope: each host makes a bridge of its own from it, and
        # services attach to it as they do to an overlay.
        return NetworkSpec("bridge", "swarm", site.mtu_option())

    def path(self, placement: Placement, access: Access) -> tuple[Waypoint, ...]:
        client, server = End.CLIENT, End.SERVER
        if placement is Placement.SAME_HOST:
            # Port to port: the bridge's own counters stay at rest. By the published port they do
            # not where docker-proxy carries the bytes, and do where the bridge translates by itself
            # (userland-proxy off): they tell nothing that holds for every engine.
            return (container(client), port(client), port(server), container(server))
        # The client leaves through its own bridge, whose host masks its address; the server's host
        # forwards the published port into the server's.
        within = () if access.plain else (container(client), bridge(client))
        there = (*within, data(client))
        return (*there, data(server), bridge(server), container(server))


DRIVER = BridgeDriver()
