"""Whether a trial's bytes went the way that its driver describes: the interfaces' own counters.

Every interface on the path must have counted the bytes that the tool delivered, and none off the
path may have. See docs/paths.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bench.deployment import Deployment
from bench.gauges.locate import Locator
from bench.gauges.reading import ESP, HOST, Reading, Sources
from bench.gauges.way import Spot, way_of, ways_of
from bench.model import Cell, HostPair, Passage, Plan
from bench.remote.fleet import Fleet
from bench.units import human

# An interface on the path counts headers too, and the warm-up: less than this share of the payload
# means that some of it went another way.
CARRIED = 0.9
# An interface off the path may count this share and this many bytes at most: neighbours are looked
# for (ARP), and what is received late is still under way when the counters are read.
AVOIDED = 0.1
SLACK = 100_000
# Where a tool does not tell what it delivered, at least this many bytes have to pass.
FLOOR = 10_000


@dataclass(frozen=True, slots=True)
class Attested:
    """What the counters say of a trial.

    ``complaint`` names what is wrong, empty where the path was taken; ``unattested`` what of the
    path could not be looked at, and why.
    """

    passages: tuple[Passage, ...] = ()
    complaint: str = ""
    unattested: str = ""


@dataclass(slots=True)
class _Asked:
    pids: dict[int, None] = field(default_factory=dict)
    sandboxes: dict[str, None] = field(default_factory=dict)
    esp: bool = False


class Attestor:
    """Attests the paths of a run's trials."""

    def __init__(self, fleet: Fleet, deployment: Deployment) -> None:
        self.locator = Locator(fleet, deployment)

    def prepare(self, plan: Plan) -> None:
        """Find every interface that the plan's trials will need, all hosts at once."""
        self.locator.prepare(ways_of(plan))

    def renew(self, deployment: Deployment) -> None:
        """Go by this deployment from now on, some containers of which may be new."""
        self.locator.renew(deployment)

    def sources(self, cell: Cell, pair: HostPair) -> Mapping[str, Sources]:
        """What has to be read on each host that takes part, besides the host's own interfaces."""
        way = way_of(cell, pair)
        asked = {host: _Asked() for host in (pair.client_for(cell.placement), pair.server)}
        for spot in self.locator.locate(way).spots:
            kind, _, rest = spot.key.partition(":")
            if kind == "pid":
                asked[spot.host].pids[int(rest)] = None
            elif kind == "sandbox":
                asked[spot.host].sandboxes[rest] = None
            elif kind == ESP:
                asked[spot.host].esp = True
        return {
            host: Sources(tuple(found.pids), tuple(found.sandboxes), found.esp)
            for host, found in asked.items()
        }

    def attest(
        self,
        cell: Cell,
        pair: HostPair,
        before: Mapping[str, Reading],
        after: Mapping[str, Reading],
        payload: float,
    ) -> Attested:
        """Hold the counters of a trial against its path; ``payload`` in bytes, 0 for unknown."""
        way = way_of(cell, pair)
        located = self.locator.locate(way)
        passages: list[Passage] = []
        complaints: list[str] = []
        unattested = list(located.missing)
        for spot in located.spots:
            moved = _moved(spot, before, after)
            if isinstance(moved, str):
                unattested.append(f"{spot.waypoint.where}: {spot.host}: {moved}")
                continue
            passages.append(Passage(spot.host, spot.where, spot.interface, moved))
            found = complaint(spot, moved, payload)
            if found and spot.waypoint.shared and not spot.waypoint.carries:
                # Whose bytes they are cannot be told, and the containers' own interfaces have said
                # already which way the trial's went.
                unattested.append(f"{found}; others use it too")
            else:
                complaints.append(found)
        told = "; ".join(dict.fromkeys(filter(None, complaints)))
        size = human(payload, "B") if payload else "an unknown number of bytes"
        return Attested(
            tuple(passages),
            f"{way.driver} {way.access} {way.placement}, {size} delivered: {told}" if told else "",
            "; ".join(dict.fromkeys(unattested)),
        )


def bound(spot: Spot, payload: float) -> float:
    """How many bytes this interface has to count at least, or where it is to be avoided at most."""
    if spot.waypoint.carries:
        return CARRIED * payload * spot.waypoint.counted or FLOOR
    return AVOIDED * payload + SLACK


def complaint(spot: Spot, moved: int, payload: float) -> str:
    """What is wrong with ``moved`` bytes at this interface; empty where nothing is."""
    limit = bound(spot, payload)
    if moved >= limit if spot.waypoint.carries else moved <= limit:
        return ""
    wanted = f"{'at least' if spot.waypoint.carries else 'at most'} {human(limit, 'B')}"
    # Scale.text asks the number whether it is whole, which integers cannot tell before Python 3.12.
    counted = human(float(moved), "B")
    return f"{spot.host} {spot.interface} ({spot.where}) counted {counted}, expected {wanted}"


def _moved(spot: Spot, before: Mapping[str, Reading], after: Mapping[str, Reading]) -> int | str:
    """The bytes that an interface counted between the readings, or why that is not known."""
    counted: list[int] = []
    for readings in (before, after):
        reading = readings.get(spot.host)
        if reading is None:
            return "its counters were not read"
        if spot.key not in reading.counters:
            return reading.unreadable.get(spot.key, "its counters were not read")
        if spot.interface not in reading.counters[spot.key]:
            place = "the host" if spot.key == HOST else "its namespace"
            return f"{place} has no {spot.interface} any more"
        counted.append(reading.counters[spot.key][spot.interface])
    if counted[1] < counted[0]:
        return f"the counters of {spot.interface} were reset"
    return counted[1] - counted[0]
