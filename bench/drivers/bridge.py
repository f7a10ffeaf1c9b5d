"""A user-defined bridge on each host; across hosts a server is reached by its published port."""

from __future__ import annotations

from typing import ClassVar

from bench.drivers.base import Driver, NetworkSpec, Site
from bench.model import Access, Placement


class BridgeDriver(Driver):
    name = "bridge"
    title = "bridge"
    access: ClassVar = {
        Placement.SAME_HOST: Access.DIRECT,
        Placement.CROSS_HOST: Access.PUBLISHED_HOST,
    }
    needs = "iptables NAT on the hosts; published ports open between their data addresses"

    def network(self, site: Site) -> NetworkSpec:
        # A node-local driver in swarm scope: each host makes a bridge of its own from it, and
        # services attach to it as they do to an overlay.
        return NetworkSpec("bridge", "swarm", {"com.docker.network.driver.mtu": str(site.mtu)})


DRIVER = BridgeDriver()
