"""The host's own network: no namespace, no bridge, no NAT. Every other driver's baseline."""

from __future__ import annotations

from typing import ClassVar

from bench.drivers.base import Driver
from bench.model import Access, Placement
from bench.waypoint import End, Waypoint, data, loopback


class HostDriver(Driver):
    name = "host"
    title = "host network"
    accesses: ClassVar = {
        Placement.SAME_HOST: (Access.DIRECT,),
        Placement.CROSS_HOST: (Access.DIRECT,),
    }
    needs = "the server's ports must be free on the hosts and open between their data addresses"
    existing = "host"

    def path(self, placement: Placement, access: Access) -> tuple[Waypoint, ...]:
        if placement is Placement.SAME_HOST:
            return (loopback(End.SERVER),)
        return (data(End.CLIENT), data(End.SERVER))


DRIVER = HostDriver()
