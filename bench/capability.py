"""What a kernel may or may not offer to Docker's networks, and what would make it offer it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum

from bench.model import Access


class Capability(StrEnum):
    """One thing that a kernel may lack, by the name of its module."""

    IPVS = "ip_vs"
    IPVLAN = "ipvlan"
    MACVLAN = "macvlan"
    VXLAN = "vxlan"
    ESP = "esp4"


TITLES: Mapping[Capability, str] = {
    Capability.IPVS: "IP_VS",
    Capability.IPVLAN: "ipvlan",
    Capability.MACVLAN: "macvlan",
    Capability.VXLAN: "VXLAN",
    Capability.ESP: "ESP with AES-GCM (IPsec)",
}

_OPTIONS: Mapping[Capability, str] = {
    Capability.IPVS: "CONFIG_IP_VS and CONFIG_IP_VS_RR",
    Capability.IPVLAN: "CONFIG_IPVLAN",
    Capability.MACVLAN: "CONFIG_MACVLAN",
    Capability.VXLAN: "CONFIG_VXLAN",
    Capability.ESP: "CONFIG_XFRM_USER, CONFIG_INET_ESP and CONFIG_CRYPTO_GCM",
}

# What each access needs of the kernels besides what the driver needs: Swarm hands out both the
# addresses of services and the ports of its routing mesh by IPVS.
OF_ACCESS: Mapping[Access, frozenset[Capability]] = {
    access: frozenset({Capability.IPVS})
    for access in (
        Access.VIP,
        Access.PUBLISHED_INGRESS,
        Access.PUBLISHED_INGRESS_PLAIN,
        Access.PUBLISHED_INGRESS_OTHER,
        Access.PUBLISHED_INGRESS_OTHER_PLAIN,
    )
}


def remedy(capability: Capability) -> str:
    """What would enable it."""
    return (
        f"use a kernel with {_OPTIONS[capability]} (of a distribution: `modprobe {capability}`, "
        "from the package of its kernel's extra modules if need be)"
    )


def lack(wanted: Iterable[Capability], lacking: Mapping[str, Mapping[Capability, str]]) -> str:
    """Which hosts lack something of what is ``wanted``, why that is known, and what would enable
    it, in words; empty where none does. ``lacking`` has by host what it lacks, with the reason."""
    for capability in sorted(wanted):
        hosts = [name for name, missing in lacking.items() if capability in missing]
        if hosts:
            why = lacking[hosts[0]][capability]
            return (
                f"{', '.join(hosts)}: the kernel has no {TITLES[capability]} ({why}); "
                f"{remedy(capability)}"
            )
    return ""
