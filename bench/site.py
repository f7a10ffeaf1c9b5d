"""Choosing the addresses and the MTU of a run's networks. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from ipaddress import IPv4Network

from bench.drivers.base import Site
from bench.errors import DeployError, UsageError
from bench.model import HostFacts

# Where the overlay's /24 is looked for; not in 10.0.0.0/9, where the engine puts its routing mesh
# and most clouds their private networks.
OVERLAY_POOLS = tuple(map(IPv4Network, ("10.128.0.0/9", "172.16.0.0/12", "192.168.0.0/16")))


# What --mtu may say besides a number of bytes, and which numbers: IPv4's usual least, and its most.
AUTO, DEFAULT = "auto", "default"
LEAST_MTU, MOST_MTU = 576, 65_535
_DIGITS = re.compile(r"\d{1,5}", re.ASCII)


def parse_mtu(text: str) -> int | None:
    """The number of bytes that ``--mtu`` says, None for ``auto`` and ``default``.

    Raises UsageError for anything else.
    """
    if text in {AUTO, DEFAULT}:
        return None
    if not _DIGITS.fullmatch(text) or not LEAST_MTU <= int(text) <= MOST_MTU:
        raise UsageError(
            f"--mtu {text!r} is no MTU",
            f"write auto, default, or a number of bytes from {LEAST_MTU} to {MOST_MTU}",
        )
    return int(text)


def choose_site(
    facts: Iterable[HostFacts],
    in_use: Mapping[str, tuple[IPv4Network, ...]],
    macvlan_subnet: str,
    *,
    mtu: str = AUTO,
    fitting: Iterable[int] = (),
) -> Site:
    """The addresses and MTU for the run's networks; the overlays' overlap nothing in use.

    ``mtu`` is what ``--mtu`` says; for ``auto`` it is the least of the data interfaces' MTUs and of
    ``fitting``, the largest packets that got through between hosts. Raises DeployError where no
    subnets are free for the overlays.
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
    overlay, encrypted = next(free, None), next(free, None)
    if overlay is None or encrypted is None:
        pools = ", ".join(map(str, OVERLAY_POOLS))
        raise DeployError(f"the hosts use all of {pools}: no two /24 are free for the overlays")
    chosen = parse_mtu(mtu)
    if mtu == AUTO:
        chosen = min((*(fact.data_mtu for fact in facts), *fitting))
    return Site(chosen, overlay, macvlan, in_use, encrypted_subnet=encrypted)
