"""What stands on the hosts in a run, and where a client finds its server. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bench import drivers
from bench.drivers.base import Site
from bench.errors import EngineError
from bench.model import Access, Cell, HostFacts, HostPair, Placement
from bench.ports import BY_OTHER, IN_MESH, mesh_port
from bench.remote.api import Task
from bench.swarm import Swarm

SERVER, CLIENT = "server", "client"
# The server behind an address that Swarm shares out: that is a property of the whole service.
BALANCED = "balanced"
# The client with a link to the server on its host.
LINKED = "linked"
HOST_NETWORK = "host"
NO_NETWORK = "none"
LOOPBACK = "127.0.0.1"

# What the server's container is called in the client's that is linked to it.
LINK_NAME = "netbench-server"

_SHARED_OUT = IN_MESH | {Access.VIP}


@dataclass(frozen=True, slots=True)
class Place:
    """One service's place: which driver's network, which end, which host."""

    driver: str
    role: str
    host: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """What of a driver cannot be measured, and why: one access, or one placement (None for any)."""

    driver: str
    why: str
    access: Access | None = None
    placement: Placement | None = None


@dataclass(frozen=True, slots=True)
class Order:
    """What to deploy for a run: on which swarm of which hosts, from which image, on which ports,
    for which cells (for each driver's first accesses where there are none)."""

    run: str
    swarm: Swarm
    facts: Mapping[str, HostFacts]
    site: Site
    image: str
    port_base: int
    cells: tuple[Cell, ...] = ()

    def accesses(self, driver: str) -> frozenset[Access]:
        """In which ways a driver's servers are to be reached."""
        asked = {cell.access for cell in self.cells if cell.driver == driver}
        if not self.cells:
            asked = {every[0] for every in drivers.known()[driver].accesses.values()}
        return frozenset(asked)


@dataclass(frozen=True, slots=True)
class Deployment:
    """What stands on the hosts: every place's running task, and the drivers that could not be.

    ``networks`` says per driver how its network was made, for the record. ``data_interfaces`` and
    ``parents`` name each host's interface of the data network and the one that containers' own
    interfaces sit on. ``refused`` is what of the drivers that stand cannot be measured.
    """

    run: str
    manager: str
    port_base: int
    data_addresses: Mapping[str, str]
    tasks: Mapping[Place, Task]
    unavailable: Mapping[str, str]
    networks: Mapping[str, Mapping[str, str]]
    data_interfaces: Mapping[str, str] = field(default_factory=dict)
    parents: Mapping[str, str] = field(default_factory=dict)
    refused: tuple[Refusal, ...] = ()

    def why_not(self, driver: str, access: Access, placement: Placement) -> str:
        """Why this treatment cannot be measured in this placement; empty where it can."""
        if driver in self.unavailable:
            return self.unavailable[driver]
        for one in self.refused:
            if (
                one.driver == driver
                and one.access in (None, access)
                and one.placement in (None, placement)
            ):
                return one.why
        return ""

    def server(self, cell: Cell, pair: HostPair) -> Task:
        return self.tasks[Place(cell.driver, server_role(cell.access), pair.server)]

    def client(self, cell: Cell, pair: HostPair) -> Task:
        host = pair.client_for(cell.placement)
        return self.tasks[client_place(cell.driver, cell.access, host)]

    def endpoint(self, cell: Cell, pair: HostPair, port: int) -> tuple[str, int]:
        """Where the client of this cell finds the server's ``port`` offset: address or name, and
        port.

        Raises EngineError where the server has no address: no other one will do in its place.
        """
        node = pair.server
        match cell.access:
            case Access.PUBLISHED_HOST | Access.PUBLISHED_HOST_PLAIN:
                published = self.port_base + drivers.known()[cell.driver].published
                return self.data_addresses[node], published + port
            case access if access in IN_MESH:
                number = list(self.data_addresses).index(node)
                if access in BY_OTHER:
                    node = pair.client_for(cell.placement)
                return self.data_addresses[node], mesh_port(self.port_base, number, port)
            case _:
                return self._inside(cell, pair), self.port_base + port

    def _inside(self, cell: Cell, pair: HostPair) -> str:
        """The server's address or name on the driver's own network."""
        server = self.server(cell, pair)
        match cell.access:
            case Access.LINK:
                return LINK_NAME
            case Access.DNS if drivers.known()[cell.driver].named_by_task:
                return server.container_name
            case Access.DNS | Access.VIP:
                return server.service
        network = self.networks[cell.driver]["network"]
        if network == HOST_NETWORK:
            return self.data_addresses[pair.server]
        if network not in server.addresses:
            what = f"{server.service} has no address on {network}"
            raise EngineError(pair.server, what)
        return server.addresses[network]


def server_role(access: Access) -> str:
    """Which of a driver's servers on a host serves this access."""
    return BALANCED if access in _SHARED_OUT else SERVER


def client_place(driver: str, access: Access, host: str) -> Place:
    """Where the client is that reaches a driver's servers in this way."""
    if access.plain:
        return Place(drivers.BASELINE, CLIENT, host)
    return Place(driver, LINKED if access is Access.LINK else CLIENT, host)
