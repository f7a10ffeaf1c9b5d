"""macvlan in bridge mode: containers with MAC addresses of their own on the hosts' layer 2."""

from __future__ import annotations

from typing import ClassVar

from bench.capability import Capability
from bench.drivers._on_parent import OnParent


class MacvlanDriver(OnParent):
    name = "macvlan"
    title = "macvlan"
    kind = "macvlan"
    needs = (
        "macvlan in the kernel and a network that lets more than one MAC address through a port "
        "(most clouds do not)"
    )
    requires: ClassVar = frozenset({Capability.MACVLAN})


DRIVER = MacvlanDriver()
