"""What a driver is: a pure description of networks to ask for and of how a client gets through.

Nothing here or in the drivers beside it does anything: ``bench.deploy`` is the one that acts.
"""

from __future__ import annotations

from abc import ABC
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Network
from typing import ClassVar

from bench.capability import Capability
from bench.model import Access, Placement
from bench.waypoint import Waypoint

MTU_OPTION = "com.docker.network.driver.mtu"


@dataclass(frozen=True, slots=True)
class NetworkSpec:
    """One network to ask of an engine, in the words of Docker's network API.

    ``scope`` is ``swarm`` (asked of a manager, usable by services) or ``local`` (asked of each
    host). ``config_only`` networks hold settings; ``from_config`` says that the network takes its
    settings from the config-only network that each host has for the same driver. An ``internal``
    one has no way out.
    """

    driver: str
    scope: str
    options: Mapping[str, str] = field(default_factory=dict)
    subnet: str | None = None
    ip_range: str | None = None
    config_only: bool = False
    from_config: bool = False
    internal: bool = False


@dataclass(frozen=True, slots=True)
class Site:
    """What the drivers may know of the place where their networks are to be.

    ``mtu`` is what fits between all of the hosts, in bytes, or None to leave the engines' default
    alone; ``overlay_subnet`` and ``encrypted_subnet`` are IPv4 networks that none of the hosts
    uses (the engine chooses where one is None); ``macvlan_subnet`` the one to number macvlan and
    ipvlan from; ``in_use`` the networks that each host uses already. ``swarm_elsewhere`` are the
    hosts that are in the swarm with another address than that of the data network, and that
    address. ``lacking`` is by host what its kernel does not offer, and how that is known.
    """

    mtu: int | None
    overlay_subnet: IPv4Network
    macvlan_subnet: IPv4Network
    in_use: Mapping[str, tuple[IPv4Network, ...]] = field(default_factory=dict)
    swarm_elsewhere: Mapping[str, str] = field(default_factory=dict)
    encrypted_subnet: IPv4Network | None = None
    lacking: Mapping[str, Mapping[Capability, str]] = field(default_factory=dict)

    def mtu_option(self) -> Mapping[str, str]:
        """The network option that sets the MTU; none where it is left alone."""
        return {} if self.mtu is None else {MTU_OPTION: str(self.mtu)}


@dataclass(frozen=True, slots=True)
class SiteHost:
    """One host of the site: its place in the inventory (from 0), its parent interface and its
    address on the data network."""

    index: int
    name: str
    parent: str
    address: str = ""


class Driver(ABC):
    """A Docker network driver, or a variant of it that a user would choose between.

    ``accesses`` says, for each placement it can serve, in which ways a client may reach a server on
    it; the first is measured where none is asked for. ``existing`` names the engine's own network
    where the driver needs none to be created. ``needs`` says in words what kernel and network must
    offer; it is shown when a probe fails. ``requires`` is what of it can be told of a kernel
    beforehand. ``usual`` drivers are measured where none is named.

    ``shares_namespace`` says that client and server are two containers in one network namespace,
    and that the engine of each host runs them: Swarm knows no such thing. ``takes_parent`` drivers
    make the parent interface theirs: the kernel lets only one of them have it. ``published`` is how
    far above a server's port on the host's own network lies the one that this driver's server
    publishes on its host: no two drivers share one. ``named_by_task`` says that on its networks
    the name of a task's container can be looked up and that of its service cannot.
    """

    name: str
    title: str
    accesses: ClassVar[Mapping[Placement, tuple[Access, ...]]]
    needs: str
    existing: str | None = None
    requires: ClassVar[frozenset[Capability]] = frozenset()
    usual: bool = True
    shares_namespace: bool = False
    takes_parent: bool = False
    published: int = 0
    named_by_task: bool = False

    def refusal(self, site: Site) -> str:
        """Why this driver must not be used at this site; empty where it may be."""
        return ""

    def needs_for(self, access: Access, placement: Placement) -> str:
        """What must be there for this way to a service to work, in words."""
        return self.needs

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

    def routes(
        self, site: Site, host: SiteHost, hosts: Sequence[SiteHost]
    ) -> Mapping[IPv4Network, str]:
        """The routes that this host needs for packets to get to containers of the other ``hosts``:
        network and next hop."""
        return {}
