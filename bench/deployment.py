"""What stands on the hosts in a run, and where a client finds its server. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bench import drivers, workloads
from bench.drivers.base import Site
from bench.errors import EngineError
from bench.model import Access, Cell, HostFacts, HostPair, Placement
from bench.remote.api import Task
from bench.swarm import Swarm
from bench.workloads.base import Workload

SERVER, CLIENT = "server", "client"
# The server behind an address that Swarm shares out: that is a property of the whole service.
BALANCED = "balanced"
HOST_NETWORK = "host"
NO_NETWORK = "none"
LOOPBACK = "127.0.0.1"
# The workload whose server answers every path's first probe.
TRIED_WITH = "http-echo"

# Where the routing mesh's ports begin above the port base, and how many each host's servers have.
MESH, MESH_STEP = 1000, 100
MOST_PORT = 65_535
# How far below each other lie the port bases of pairs that are measured at once, and the least.
PAIR_STEP, LEAST_PORT = 1000, 1024

_SHARED_OUT = {Access.VIP, Access.PUBLISHED_INGRESS, Access.PUBLISHED_INGRESS_OTHER}
_IN_MESH = {Access.PUBLISHED_INGRESS, Access.PUBLISHED_INGRESS_OTHER}


@dataclass(frozen=True, slots=True)
class Place:
    """One service's place: which driver's network, which end, which host, and of which of the
    pairs that are measured at once (from 1)."""

    driver: str
    role: str
    host: str
    pair: int = 1


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

    def pairs(self, driver: str) -> int:
        """How many pairs of this driver's are to be measured at once, at most."""
        asked = [
            workloads.named(cell.workload).pairs
            for cell in self.cells
            if cell.driver == driver and not pairs_refusal(cell, self.port_base)
        ]
        return max(asked, default=1)

    def served(self) -> tuple[Workload, ...]:
        """The workloads that every server serves: those of the cells (all where there are none),
        and the one that paths are tried with."""
        wanted = {workloads.named(cell.workload).family for cell in self.cells} | {TRIED_WITH}
        known = workloads.known().values()
        return tuple(one for one in known if not self.cells or one.family in wanted)


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

    def server(self, cell: Cell, pair: HostPair, number: int = 1) -> Task:
        return self.tasks[Place(cell.driver, server_role(cell.access), pair.server, number)]

    def client(self, cell: Cell, pair: HostPair, number: int = 1) -> Task:
        host = pair.client_for(cell.placement)
        return self.tasks[Place(cell.driver, CLIENT, host, number)]

    def endpoint(self, cell: Cell, pair: HostPair, port: int, number: int = 1) -> tuple[str, int]:
        """Where the client of this cell finds the server's ``port`` offset: address or name, and
        port. ``number`` says of which of the pairs that are measured at once.

        Raises EngineError where the server has no address: no other one will do in its place.
        """
        server = self.server(cell, pair, number)
        base = pair_base(self.port_base, number)
        match cell.access:
            case Access.PUBLISHED_HOST:
                published = base + drivers.known()[cell.driver].published
                return self.data_addresses[pair.server], published + port
            case Access.PUBLISHED_INGRESS | Access.PUBLISHED_INGRESS_OTHER:
                own = cell.access is Access.PUBLISHED_INGRESS
                node = pair.server if own else pair.client_for(cell.placement)
                number = list(self.data_addresses).index(pair.server)
                return self.data_addresses[node], mesh_port(base, number, port)
            case Access.DNS if drivers.known()[cell.driver].named_by_task:
                return server.container_name, base + port
            case Access.DNS | Access.VIP:
                return server.service, base + port
            case Access.DIRECT:
                network = self.networks[cell.driver]["network"]
                if network == HOST_NETWORK:
                    return self.data_addresses[pair.server], base + port
                if network not in server.addresses:
                    what = f"{server.service} has no address on {network}"
                    raise EngineError(pair.server, what)
                return server.addresses[network], base + port


def pair_base(base: int, number: int) -> int:
    """The port base of the servers of one of several pairs: below the first's, as above it are
    the published ports and the routing mesh's."""
    return base - PAIR_STEP * (number - 1)


def pairs_refusal(cell: Cell, base: int) -> str:
    """Why the pairs of a cell cannot be measured at once; empty where they can."""
    number = workloads.named(cell.workload).pairs
    if number == 1:
        return ""
    if server_role(cell.access) == BALANCED:
        return f"several pairs at once are not measured by {cell.access}"
    if drivers.known()[cell.driver].shares_namespace:
        return f"several pairs at once would share {cell.driver}'s one namespace"
    if pair_base(base, number) < LEAST_PORT:
        least = LEAST_PORT + base - pair_base(base, number)
        return f"{number} pairs need lower ports: set netbench_port_base to {least} or higher"
    return ""


def server_role(access: Access) -> str:
    """Which of a driver's servers on a host serves this access."""
    return BALANCED if access in _SHARED_OUT else SERVER


def in_mesh(accesses: frozenset[Access]) -> bool:
    """Whether the servers behind these accesses are published in the routing mesh."""
    return bool(accesses & _IN_MESH)


def mesh_port(base: int, host: int, port: int) -> int:
    """The port of the routing mesh for a workload's ``port`` offset of the server on a host (by
    its number): all nodes listen on it, so that no two servers share one."""
    return base + MESH + MESH_STEP * host + port


def mesh_refusal(base: int, hosts: int) -> str:
    """Why the routing mesh has no ports for this many hosts; empty where it has."""
    offsets = (port for one in workloads.known().values() for port in workloads.ports(one))
    last = mesh_port(base, hosts - 1, max(offsets))
    if last <= MOST_PORT:
        return ""
    return (
        f"the routing mesh would need ports up to {last} for {hosts} hosts, and {MOST_PORT} is the "
        f"last: set netbench_port_base to {base - (last - MOST_PORT)} or lower"
    )
