"""The host's own network: no namespace, no bridge, no NAT. Every other driver's baseline."""

from __future__ import annotations

from typing import ClassVar

from bench.drivers.base import Driver
from bench.model import Access, Placement


class HostDriver(Driver):
    name = "host"
    title = "host network"
    access: ClassVar = {Placement.SAME_HOST: Access.DIRECT, Placement.CROSS_HOST: Access.DIRECT}
    needs = "the server's ports must be free on the hosts and open between their data addresses"
    existing = "host"


DRIVER = HostDriver()
