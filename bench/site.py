"""Choosing the addresses and the MTU of a run's networks. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from ipaddress import IPv4Network

from bench.drivers.base import Site
from bench.errors import DeployError
from bench.model import HostFacts

# Where the overlay's /24 is looked for; not in 10.0.0.0/9, where the engine puts its routing mesh
# and most clouds their private networks.
OVERLAY_POOLS = tuple(map(IPv4Network, ("10.128.0.0/9", "172.16.0.0/12", "192.168.0.0/16")))


def choose_site(
    facts: Iterable[HostFacts],
    in_use: Mapping[str, tuple[IPv4Network, ...]],
    macvlan_subnet: str,
) -> Site:
    """The addresses and MTU for the run's networks; the overlay's overlaps nothing in use.

    Raises DeployError where no subnet is free for the overlay.
    """
    macvlan = IPv4Network(macvlan_subnet)
    taken = [
        network
        for networks in (*in_use.values(), (macvlan,))
        for network in networks
        if network.prefixlen > 0
    ]
    free = (
        candidate
        for pool in OVERLAY_POOLS
        if not any(pool.subnet_of(network) for network in taken)
        for candidate in pool.subnets(new_prefix=24)
        if not any(candidate.overlaps(network) for network in taken)
    )
    overlay = next(free, None)
    if overlay is None:
        pools = ", ".join(map(str, OVERLAY_POOLS))
        raise DeployError(f"the hosts use all of {pools}: no /24 is free for the overlay")
    return Site(min(fact.data_mtu for fact in facts), overlay, macvlan, in_use)
