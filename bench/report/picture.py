"""The paths of a run as pictures: what a packet crosses, and under it what that costs.

Drawn from what is stored alone. The same drawing serves terminals, Markdown and HTML.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from bench.analysis.display import ratio_text, treatment
from bench.analysis.staircase import Step, Treatment, staircase
from bench.analysis.summary import Summary
from bench.model import Cell, Crossing, Hop, HostPair, PathPicture
from bench.report.words import counted, printable
from bench.store import StoredRun

_UNTOLD = "no trial of this run tells what it costs"


@dataclass(frozen=True, slots=True)
class Stop:
    """One hop in words, and below it the ``costs`` of what is complete with it, a line each."""

    title: str
    detail: str
    costs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Room:
    """The hops in one network namespace, in the packet's order."""

    title: str
    stops: tuple[Stop, ...]


@dataclass(frozen=True, slots=True)
class House:
    """What a packet crosses on one host."""

    title: str
    rooms: tuple[Room, ...]


@dataclass(frozen=True, slots=True)
class Drawing:
    """One treatment's path between two hosts, or on one."""

    title: str
    note: str
    houses: tuple[House, ...]
    wire: str = "the data network"


def drawings(
    run: StoredRun, summary: Summary, shown: Sequence[PathPicture] | None = None
) -> tuple[Drawing, ...]:
    """A drawing for each treatment and placement, in the plan's order. Pairs of hosts whose paths
    cross the same things are drawn once. Nothing for a run that holds no pictures.

    ``shown`` are those of the run's pictures to draw, all for None: what they cost rests on all.
    """
    # Where nothing was measured there is nothing to be told by differences.
    measured = any(cell.values for cell in summary.cells)
    steps = staircase(run.info.pictures, summary, run.info.plan) if measured else {}
    found = []
    pictures = run.info.pictures if shown is None else shown
    by_way = groupby(pictures, key=lambda one: (one.driver, one.access, one.placement))
    for (driver, access, placement), group in by_way:
        shapes: dict[object, list[PathPicture]] = {}
        for one in group:
            shapes.setdefault((one.broken, *_shape(one)), []).append(one)
        own = steps.get(Treatment(driver, access, placement), ())
        for first, *alike in shapes.values():
            # What does not work carried nothing that could tell.
            found.append(_drawing(first, () if first.broken else own, alike))
    return tuple(found)


def as_text(drawing: Drawing) -> str:
    """A drawing for terminals and for Markdown, without a line's end at its end."""
    lines = [drawing.title, *([f"  {drawing.note}"] if drawing.note else [])]
    for place, house in enumerate(drawing.houses):
        if place:
            lines.append(f"  \N{BOX DRAWINGS DOUBLE VERTICAL} {drawing.wire}")
        lines.append(f"  {house.title}")
        for room in house.rooms:
            lines.append(f"  \N{BOX DRAWINGS LIGHT VERTICAL AND RIGHT} {room.title}")
            for stop in room.stops:
                lines.append(
                    f"  \N{BOX DRAWINGS LIGHT VERTICAL}   {stop.title:<22} {stop.detail}".rstrip()
                )
                lines += [f"  \N{BOX DRAWINGS LIGHT VERTICAL}       {cost}" for cost in stop.costs]
    return "\n".join(lines)


def _shape(one: PathPicture) -> Iterator[tuple[bool, Crossing]]:
    for hop in one.hops:
        yield hop.host == one.pair.server, hop.crossing


def _drawing(one: PathPicture, steps: Sequence[Step], alike: Sequence[PathPicture]) -> Drawing:
    cell = Cell(one.driver, one.access, one.placement, "")
    where = _between(one.pair, one)
    notes = [f"the client sends to {one.target}"] if one.target else []
    notes += [f"does not work: {one.broken}"] if one.broken else []
    if alike:
        others = ", ".join(_between(other.pair, other) for other in alike[:3])
        more = ", ..." if len(alike) > 3 else ""
        notes.append(f"{counted(len(alike), 'other path')} alike ({others}{more})")
    return Drawing(
        printable(f"{treatment(cell)}, {one.placement}: {where}"),
        printable("; ".join(notes)),
        _houses(one, steps),
    )


def _between(pair: HostPair, one: PathPicture) -> str:
    client = pair.client_for(one.placement)
    return client if client == pair.server else f"{client} -> {pair.server}"


def _houses(one: PathPicture, steps: Sequence[Step]) -> tuple[House, ...]:
    costs = _under(one.hops, steps)
    numbered = list(enumerate(one.hops))
    return tuple(
        House(
            printable(host),
            tuple(
                Room(
                    printable(space),
                    tuple(_stop(hop, costs.get(place, ())) for place, hop in stops),
                )
                for space, stops in groupby(on_host, key=lambda entry: entry[1].space)
            ),
        )
        for host, on_host in groupby(numbered, key=lambda entry: entry[1].host)
    )


def _stop(hop: Hop, costs: Iterable[str]) -> Stop:
    title = hop.interface or hop.crossing.value
    kind = hop.crossing.value if hop.interface else ""
    size = f"MTU {hop.mtu}" if hop.mtu else ""
    said = ", ".join(filter(None, (kind, hop.detail, size)))
    return Stop(printable(title), printable(said), tuple(map(printable, costs)))


def _under(hops: Sequence[Hop], steps: Sequence[Step]) -> dict[int, tuple[str, ...]]:
    """The lines to write below each hop: a step's below the one with which all that it adds has
    been crossed once."""
    found: dict[int, tuple[str, ...]] = {}
    for step in steps:
        missing = set(step.adds)
        for place, hop in enumerate(hops):
            missing.discard(hop.crossing)
            if not missing:
                found[place] = (*found.get(place, ()), *_told(step))
                break
    return found


def _told(step: Step) -> Iterator[str]:
    below = treatment(Cell(step.below.driver, step.below.access, step.below.placement, ""))
    names = [one.value for one in step.adds]
    listed = " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
    yield f"+ {listed}, next to {below}:" + ("" if step.costs else f" {_UNTOLD}")
    for cost in step.costs:
        words = cost.verdict.words.partition(";")[0]
        said = f"{ratio_text(cost.verdict.ratio)} times" + (f", {words}" if words else "")
        yield f"  {cost.workload}, {cost.metric.title}: {said}"
