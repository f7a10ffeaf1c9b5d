"""What a driver is: a pure description of networks to ask for and of how a client gets through.

Nothing here or in the drivers beside it does anything: ``bench.deploy`` is the one that acts.
"""

from __future__ import annotations

from abc import ABC
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network
from typing import ClassVar

from bench.model import Access, Placement
from bench.waypoint import Waypoint


@dataclass(frozen=True, slots=True)
class NetworkSpec:
    """One network to ask of an engine, in the words of Docker's network API.

    ``scope`` is ``swarm`` (asked of a manager, usable by services) or ``local`` (asked of each
    host). ``config_only`` networks hold settings; ``from_config`` says that the network takes its
    settings from the config-only network that each host has for the same driver.
    """

    driver: str
    scope: str
    options: Mapping[str, str] = field(default_factory=dict)
    subnet: str | None = None
    ip_range: str | None = None
    config_only: bool = False
    from_config: bool = False


@dataclass(frozen=True, slots=True)
class Site:
    """What the drivers may know of the place where their networks are to be.

    ``mtu`` is the smallest MTU of the hosts' data interfaces, in bytes; ``overlay_subnet`` an IPv4
    network that none of the hosts uses; ``macvlan_subnet`` the one to number macvlan from;
    ``in_use`` the networks that each host uses already. ``swarm_elsewhere`` are the hosts that are
    in the swarm with another address than that of the data network, and that address.
    """

    mtu: int
    overlay_subnet: IPv4Network
    macvlan_subnet: IPv4Network
    in_use: Mapping[str, tuple[IPv4Network, ...]] = field(default_factory=dict)
    swarm_elsewhere: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SiteHost:
    """One host of the site: its place in the inventory (from 0) and its parent interface."""

    index: int
    name: str
    parent: str


class Driver(ABC):
    """A Docker network driver, or a variant of it that a user would choose between.

    ``access`` says, for each placement it can serve, how a client reaches a server on it.
    ``existing`` names the engine's own network where the driver needs none to be created.
    ``needs`` says in words what kernel and network must offer; it is shown when a probe fails.
    """

    name: str
    title: str
    access: ClassVar[Mapping[Placement, Access]]
    needs: str
    existing: str | None = None

    def refusal(self, site: Site) -> str:
        """Why this driver must not be used at this site; empty where it may be."""
        return ""

    def network(self, site: Site) -> NetworkSpec | None:
        """The network that services of every host attach to; None for an existing one."""
        return None

    def path(self, placement: Placement, access: Access) -> tuple[Waypoint, ...]:
        """The interfaces that must count a trial's bytes, from the client on, and those that must
        not. Nothing for a path that nobody has described: it cannot be attested."""
        return ()

    def host_network(self, site: Site, host: SiteHost) -> NetworkSpec | None:
        """The config-only network that each host must have first, if any."""
        return None
