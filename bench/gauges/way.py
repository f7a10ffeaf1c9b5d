"""The ways that a run's trials take, and the interfaces found on them."""

from __future__ import annotations

from dataclasses import dataclass

from bench.deployment import Place, client_place, server_role
from bench.model import Access, Cell, HostPair, Placement, Plan
from bench.plan import pairs
from bench.waypoint import End, Waypoint


@dataclass(frozen=True, slots=True)
class Way:
    """What takes one path: a treatment in a placement between two hosts, whatever the workload."""

    driver: str
    access: Access
    placement: Placement
    pair: HostPair

    def host(self, end: End) -> str:
        return self.pair.client_for(self.placement) if end is End.CLIENT else self.pair.server

    def place(self, end: End) -> Place:
        if end is End.CLIENT:
            return client_place(self.driver, self.access, self.host(end))
        return Place(self.driver, server_role(self.access), self.host(end))


@dataclass(frozen=True, slots=True)
class Spot:
    """A waypoint that was found: ``key`` and ``interface`` are its place in a reading's counters.

    ``namespace`` is the id of a container or the file of a namespace that it is in, empty for the
    host's own; ``mtu`` in bytes.
    """

    waypoint: Waypoint
    host: str
    key: str
    interface: str
    mtu: int
    namespace: str = ""

    @property
    def where(self) -> str:
        """The waypoint in the words of reports."""
        return self.waypoint.where + ("" if self.waypoint.carries else " (to be avoided)")


@dataclass(frozen=True, slots=True)
class Located:
    """A way's spots in its driver's order, and why others of its waypoints could not be found."""

    spots: tuple[Spot, ...] = ()
    missing: tuple[str, ...] = ()


def way_of(cell: Cell, pair: HostPair) -> Way:
    return Way(cell.driver, cell.access, cell.placement, pair)


def ways_of(plan: Plan) -> tuple[Way, ...]:
    """Every way that the plan's trials take, each once."""
    found = [way_of(cell, pair) for cell in plan.cells for pair in pairs(plan)]
    return tuple(dict.fromkeys(found))
