"""ipvlan in L2 mode: containers with addresses of their own behind their host's one MAC address."""

from __future__ import annotations

from typing import ClassVar

from bench.capability import Capability
from bench.drivers._on_parent import OnParent


class IpvlanL2Driver(OnParent):
    name = "ipvlan-l2"
    title = "ipvlan, L2 mode"
    kind = "ipvlan"
    settings: ClassVar = {"ipvlan_mode": "l2"}
    needs = (
        "ipvlan in the kernel and a network that lets more than one IP address through a port "
        "(most clouds do not, unless it is assigned)"
    )
    requires: ClassVar = frozenset({Capability.IPVLAN})
    usual = False


DRIVER = IpvlanL2Driver()
