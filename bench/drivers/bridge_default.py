"""The bridge that every engine has, docker0, on which containers land that ask for nothing."""

from __future__ import annotations

from typing import ClassVar

from bench.drivers.base import NetworkSpec, Site
from bench.drivers.bridge import BridgeDriver
from bench.model import Access, Placement


class DefaultBridgeDriver(BridgeDriver):
    name = "bridge-default"
    title = "default bridge (docker0)"
    # No `dns`: containers on it are known by address alone, or by a link to the very container.
    accesses: ClassVar = {
        Placement.SAME_HOST: (Access.DIRECT, Access.LINK, Access.PUBLISHED_HOST),
        Placement.CROSS_HOST: (Access.PUBLISHED_HOST, Access.PUBLISHED_HOST_PLAIN),
    }
    existing = "bridge"
    usual = False
    published = 200

    def network(self, site: Site) -> NetworkSpec | None:
        # It is there, with the MTU that its engine was started with.
        return None


DRIVER = DefaultBridgeDriver()
