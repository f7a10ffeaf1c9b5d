"""What a driver says of its packets' way: which interfaces must count them, and which must not.

Pure words, put together by the drivers; `bench.gauges` finds the interfaces that they mean and
compares their counters. A new driver or access describes its own way with these and needs no code
elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum


class End(StrEnum):
    """Which end of the connection, and with it which host and which container."""

    CLIENT = "client"
    SERVER = "server"


class Space(StrEnum):
    """Whose network namespace an interface is in.

    ``NETWORK`` is the one that the engine keeps on each host for an overlay network, ``BALANCER``
    the one in which it shares out the addresses of that network's services, and ``INGRESS`` the one
    in which its routing mesh works. ``ESP`` is no namespace but what the host's kernel encrypted
    and decrypted. All these can be read by root alone.
    """

    HOST = "host"
    CONTAINER = "container"
    NETWORK = "network"
    BALANCER = "balancer"
    INGRESS = "ingress"
    ESP = "esp"


class By(StrEnum):
    """How an interface is found in its namespace.

    ``NAME`` by its name, which may end in ``*``; ``DATA`` and ``PARENT`` as the host's data
    interface and macvlan parent; ``ADDRESS`` as the one with the container's address on the
    network; ``BRIDGE`` as the bridge that the engine made for the network on this host; ``PORT`` as
    the host's end of the container's cable, which must be plugged into that bridge; ``OUTWARD`` as
    the container's interface that is neither its loopback nor on a network that it was attached to:
    the one by which it leaves an overlay.
    """

    NAME = "name"
    DATA = "data"
    PARENT = "parent"
    ADDRESS = "address"
    BRIDGE = "bridge"
    PORT = "port"
    OUTWARD = "outward"


# The network of Swarm's routing mesh, and the bridge by which containers leave their overlays.
INGRESS = "ingress"
GATEWAY = "docker_gwbridge"


@dataclass(frozen=True, slots=True)
class Waypoint:
    """One interface on, or off, a path.

    ``where`` says in a few words whose it is, for reports. ``carries`` is false for an interface
    that the bytes must keep away from. ``network`` names the Docker network that is meant where it
    is not the driver's own (``ingress``, say). ``counted`` is how often the interface counts a byte
    that passes it once.
    """

    where: str
    end: End
    space: Space
    by: By
    name: str = ""
    carries: bool = True
    network: str = ""
    counted: int = 1

    @property
    def shared(self) -> bool:
        """Whether bytes of others may pass there too: the host's own interfaces serve everybody."""
        return self.space is Space.HOST and self.by in (By.NAME, By.DATA, By.PARENT)


def container(end: End) -> Waypoint:
    """The interface with the container's address on the driver's network."""
    return Waypoint(f"{end} container", end, Space.CONTAINER, By.ADDRESS)


def loopback(end: End) -> Waypoint:
    """The host's loopback. What is sent there is received there: it counts everything twice."""
    return Waypoint("loopback", end, Space.HOST, By.NAME, "lo", counted=2)


def inner_loopback(end: End) -> Waypoint:
    """The loopback of the container's own namespace; it counts everything twice, too."""
    return Waypoint("inner loopback", end, Space.CONTAINER, By.NAME, "lo", counted=2)


def data(end: End) -> Waypoint:
    """The interface of the host's data network."""
    return Waypoint("data interface", end, Space.HOST, By.DATA)


def parent(end: End) -> Waypoint:
    """The interface of the host on which the containers' own interfaces sit."""
    return Waypoint("parent interface", end, Space.HOST, By.PARENT)


def bridge(end: End) -> Waypoint:
    """The bridge of the driver's network. It counts what is routed into and out of the network;
    what goes from one of its ports to another passes it by."""
    return Waypoint("bridge", end, Space.HOST, By.BRIDGE)


def port(end: End) -> Waypoint:
    """The bridge's port to the container."""
    return Waypoint(f"bridge port of the {end}", end, Space.HOST, By.PORT)


def vxlan(end: End) -> Waypoint:
    """The tunnel's device of an overlay network."""
    return Waypoint("vxlan", end, Space.NETWORK, By.NAME, "vxlan*")


def encrypted(end: End) -> Waypoint:
    """What the host's IPsec associations of ESP have carried, in and out together: no interface,
    but the only counter that tells encrypted packets from plain ones."""
    return Waypoint("ESP", end, Space.ESP, By.NAME, "esp")


def balancer(end: End) -> Waypoint:
    """Where the engine shares out the addresses of a network's services on a host."""
    return Waypoint("service balancer", end, Space.BALANCER, By.NAME, "eth0")


def mesh(end: End) -> Waypoint:
    """Where the routing mesh of a host shares out its ports: in from the gateway bridge by one
    interface, out to the mesh's own overlay by the other."""
    return Waypoint("routing mesh", end, Space.INGRESS, By.NAME, "eth*")


def gateway(end: End) -> Waypoint:
    """The bridge by which a host's containers leave their overlays, and published ports enter."""
    return Waypoint("gateway bridge", end, Space.HOST, By.NAME, GATEWAY)


def outward(end: End) -> Waypoint:
    """The interface of a container on an overlay that leads to its host's gateway bridge."""
    return Waypoint(f"{end} container's way out", end, Space.CONTAINER, By.OUTWARD)


def on(network: str, waypoint: Waypoint) -> Waypoint:
    """The same on another Docker network than the driver's own."""
    return replace(waypoint, where=f"{network} {waypoint.where}", network=network)


def avoiding(waypoint: Waypoint) -> Waypoint:
    """The same interface as one that must not carry the bytes."""
    return replace(waypoint, carries=False)
