"""No network: a namespace with nothing but its loopback. The most that the machine's stack does."""

from __future__ import annotations

from typing import ClassVar

from bench.drivers.base import Driver
from bench.model import Access, Placement
from bench.waypoint import End, Waypoint, inner_loopback


class NoneDriver(Driver):
    name = "none"
    title = "no network (loopback inside one namespace)"
    # There is no way in from another host: that is the point of it.
    accesses: ClassVar = {Placement.SAME_HOST: (Access.DIRECT,)}
    needs = "nothing but the engine"
    existing = "none"
    usual = False
    shares_namespace = True

    def path(self, placement: Placement, access: Access) -> tuple[Waypoint, ...]:
        return (inner_loopback(End.SERVER),)


DRIVER = NoneDriver()
