"""From an interface as it was found to one hop of a path. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from bench.errors import NetbenchError
from bench.gauges.links import Link
from bench.gauges.way import Spot, Way
from bench.model import Crossing, Hop
from bench.waypoint import By, Space, Waypoint

HOST_SPACE = "host"
_KINDS = {
    "veth": Crossing.VETH,
    "bridge": Crossing.BRIDGE,
    "vxlan": Crossing.VXLAN,
    "macvlan": Crossing.MACVLAN,
    "ipvlan": Crossing.IPVLAN,
}


def ends_of(own: Link, links: Iterable[Link]) -> list[Link]:
    """The other end of ``own``'s cable among ``links``: each has the other's index."""
    return [
        one
        for one in links
        if own.peer and one.index == own.peer and one.peer == own.index and one.kind == "veth"
    ]


def masters(host: str, space: str, port: Link, links: Iterable[Link]) -> list[Hop]:
    return [hop_of(host, space, one) for one in links if one.name == port.master]


def space_of(spot: Spot) -> str:
    if spot.namespace.startswith("/"):
        return f"namespace {spot.namespace.rpartition('/')[2]}"
    return f"{spot.waypoint.end} container" if spot.namespace else HOST_SPACE


def hop_of(host: str, space: str, link: Link, *, by: By = By.NAME) -> Hop:
    crossing = _KINDS.get(link.kind, Crossing.INTERFACE)
    if link.name == "lo":
        crossing = Crossing.LOOPBACK
    # What a host's own interface is made of (a bond, a VLAN, in a lab a veth) is not the network's.
    if by in (By.DATA, By.PARENT):
        crossing = Crossing.INTERFACE
    said = (link.setting, ", ".join(link.addresses))
    return Hop(host, space, crossing, link.name, link.mtu, "; ".join(filter(None, said)))


_MEANT = {
    Space.NETWORK: Crossing.VXLAN,
    Space.BALANCER: Crossing.IPVS,
    Space.INGRESS: Crossing.IPVS,
    Space.ESP: Crossing.ESP,
    Space.CONTAINER: Crossing.VETH,
}
_SPACES = {Space.CONTAINER: "{} container", Space.HOST: HOST_SPACE, Space.ESP: HOST_SPACE}


def unseen(way: Way, waypoint: Waypoint, fault: NetbenchError) -> Hop:
    """A hop that the driver describes and that could not be looked at."""
    host = way.host(waypoint.end)
    crossing = _MEANT.get(waypoint.space, Crossing.INTERFACE)
    if waypoint.by is By.BRIDGE:
        crossing = Crossing.BRIDGE
    elif waypoint.by is By.PORT:
        crossing = Crossing.VETH
    space = _SPACES.get(waypoint.space, "a namespace of the engine's own").format(waypoint.end)
    said = str(fault).removeprefix(f"{host}: ")
    return Hop(host, space, crossing, detail=f"{waypoint.where} not seen: {said}")
