"""What a packet crosses from client to server, as it was found on the hosts."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from bench.model.nouns import Access, HostPair, Placement


class Crossing(StrEnum):
    """What a packet goes through at a hop of its path.

    ``LOOPBACK`` and ``INTERFACE`` (one of the host's own) are there without any container network;
    the others are what networks add.
    """

    LOOPBACK = "loopback"
    INTERFACE = "interface"
    VETH = "veth"
    BRIDGE = "bridge"
    NAT = "NAT"
    PROXY = "docker-proxy"
    MACVLAN = "macvlan"
    IPVLAN = "ipvlan"
    IPVS = "IPVS"
    VXLAN = "VXLAN"
    ESP = "ESP"


@dataclass(frozen=True, slots=True)
class Hop:
    """One thing that a packet goes through, as it was found on a host.

    ``space`` says whose network namespace it is in (``host``, ``client container``, ``namespace
    1-abc``); ``interface`` its name there, empty for rules and what is no interface; ``mtu`` in
    bytes, 0 where it has none; ``detail`` what else was read of it, or why nothing was.
    """

    host: str
    space: str
    crossing: Crossing
    interface: str = ""
    mtu: int = 0
    detail: str = ""


@dataclass(frozen=True, slots=True)
class PathPicture:
    """What a treatment's packets cross from client to server, found before the first block.

    ``target`` is where the client sends (address or name, and port) and ``broken`` why the path
    does not work, or was not built; empty where it does.
    """

    driver: str
    access: Access
    placement: Placement
    pair: HostPair
    target: str = ""
    hops: tuple[Hop, ...] = ()
    broken: str = ""
