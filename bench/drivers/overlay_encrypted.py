"""Swarm's overlay with its tunnels encrypted: VXLAN inside ESP (RFC 4303) in transport mode."""

from __future__ import annotations

from typing import ClassVar

from bench.capability import Capability
from bench.drivers.base import NetworkSpec, Site
from bench.drivers.overlay import OverlayDriver
from bench.model import Access, Placement
from bench.waypoint import End, Waypoint, encrypted, vxlan


class EncryptedOverlayDriver(OverlayDriver):
    name = "overlay-encrypted"
    title = "overlay, encrypted"
    # By published ports it would not be this network that is measured.
    accesses: ClassVar = {
        Placement.SAME_HOST: (Access.DIRECT, Access.DNS, Access.VIP),
        Placement.CROSS_HOST: (Access.DIRECT, Access.DNS, Access.VIP),
    }
    needs = (
        "VXLAN and ESP in the kernel; IP protocol 50, UDP 4789 and 7946 and TCP 7946 open between "
        "the hosts"
    )
    requires: ClassVar = frozenset({Capability.VXLAN, Capability.ESP})
    usual = False
    published = 0

    def network(self, site: Site) -> NetworkSpec:
        # Of the MTU the engine subtracts what ESP adds, too.
        subnet = None if site.encrypted_subnet is None else str(site.encrypted_subnet)
        options = {**site.mtu_option(), "encrypted": ""}
        return NetworkSpec("overlay", "swarm", options, subnet=subnet)

    def _tunnel(self, end: End) -> tuple[Waypoint, ...]:
        return (vxlan(end), encrypted(end))


DRIVER = EncryptedOverlayDriver()
