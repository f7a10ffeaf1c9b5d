"""What the hosts did while they were measured: steal, full cores, pressure, losses."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from statistics import median

import numpy as np

from bench.analysis.ends import Bools, Ends, by_cell, ends
from bench.analysis.flags.bounds import subject
from bench.analysis.flags.flag import (
    DROPS,
    FULL,
    FULL_OFTEN,
    PRESSURE,
    RETRANSMITS,
    STEAL,
    STEAL_OFTEN,
    STEAL_ONCE,
    Flag,
    Kind,
    Severity,
)
from bench.analysis.flags.traffic import payloads
from bench.analysis.load import MACHINE, STOLEN, Busiest, full_cores
from bench.model import Cell, Placement
from bench.store import StoredRun
from bench.units import number

# What a full packet holds of the payload, for how many packets a payload takes.
_SEGMENT = 1448


@dataclass(slots=True)
class _Host:
    """What was seen of one host, or of the machine where all hosts are one."""

    steal: list[float] = field(default_factory=list)
    pressure: list[float] = field(default_factory=list)


@dataclass(slots=True)
class _Cell:
    """What was seen in the trials of one cell."""

    trials: int = 0
    full: list[Busiest] = field(default_factory=list)
    resent: list[float] = field(default_factory=list)
    dropped: list[float] = field(default_factory=list)


def machines(run: StoredRun) -> Iterator[Flag]:
    """The flags on hosts and on cells that these held up; none where hosts were not read."""
    read, shared = ends(run), run.info.shared_kernel
    completed = dict(by_cell(run))
    for host, seen in _hosts(read, completed, shared=shared).items():
        yield from _host_flags(host if host == MACHINE else f"host {host}", seen)
    count = len(run.results)
    was_read = np.bincount(read.trial, minlength=count) > 0
    worked = {cell.workload: run.info.worked(cell.workload) for cell in run.info.plan.cells}
    working = np.array([worked[one.cell.workload] for one in run.results])
    full = full_cores(read, working, FULL, shared_kernel=shared)
    packets = payloads(run) / _SEGMENT
    resent, dropped = read.total(read.retransmits, count), read.total(read.drops, count)
    cells: dict[tuple[str, Placement], dict[Cell, _Cell]] = {}
    for cell, trials in completed.items():
        own = trials & was_read
        across = own & (packets > 0) & (cell.placement is Placement.CROSS_HOST)
        found = _Cell(
            int(np.count_nonzero(own)),
            [full[place] for place in np.flatnonzero(own).tolist() if place in full],
            (resent[across] / packets[across]).tolist(),
            (dropped[across] / packets[across]).tolist(),
        )
        yield from _lost(cell, found)
        if found.trials:
            cells.setdefault((cell.workload, cell.placement), {})[cell] = found
    for together in cells.values():
        yield from _full_cores(together)


def _hosts(read: Ends, completed: dict[Cell, Bools], *, shared: bool) -> dict[str, _Host]:
    """What was seen of each host in completed trials, or of the machine that all of them are."""
    counted = np.zeros(read.trial.size, bool)
    for trials in completed.values():
        counted |= trials[read.trial]
    if shared:
        counted &= read.leads
    spent = read.spent()
    total = spent.sum(axis=1)
    stolen = np.divide(spent[:, STOLEN], total, out=np.zeros_like(total), where=total > 0)
    names = [MACHINE if shared else host for host, _, _ in read.whos]
    found = {}
    for name in dict.fromkeys(names):
        own = counted & np.array([one == name for one in names])[read.who]
        if own.any():
            pressure = read.pressure[own]
            found[name] = _Host(stolen[own].tolist(), pressure[~np.isnan(pressure)].tolist())
    return found


def _host_flags(name: str, seen: _Host) -> Iterator[Flag]:
    disturbed = [share for share in seen.steal if share >= STEAL]
    if disturbed and (
        len(disturbed) >= STEAL_OFTEN * len(seen.steal) or max(disturbed) >= STEAL_ONCE
    ):
        yield Flag(
            Kind.STEAL,
            Severity.WARNING,
            name,
            f"{100 * STEAL:.0f} % of the CPU time and more in {len(disturbed)} of "
            f"{len(seen.steal)} trials, {100 * median(seen.steal):.1f} % in the median one, "
            f"{100 * max(seen.steal):.1f} % in the worst",
        )
    if seen.pressure and median(seen.pressure) >= PRESSURE:
        yield Flag(
            Kind.PRESSURE,
            Severity.NOTE,
            name,
            f"some task waited for a CPU during {100 * median(seen.pressure):.0f} % of the median "
            f"trial (PSI; {len(seen.pressure)} trials)",
        )


def _full_cores(cells: dict[Cell, _Cell]) -> Iterator[Flag]:
    """The flags on cells that stand beside each other. An end that is full in all of them, as that
    of a tool with one thread always is, is told once: told of each, nobody would read the rest."""
    full = {
        cell: found
        for cell, found in cells.items()
        if found.full and len(found.full) >= FULL_OFTEN * found.trials
    }
    ends = {_often(found)[0].end for found in full.values()}
    if len(full) == len(cells) > 1 and len(ends) == 1:
        one, *_ = full
        every = _Cell(
            sum(found.trials for found in full.values()),
            [busiest for found in full.values() for busiest in found.full],
        )
        who = f"all {len(full)} cells, {one.placement}, {one.workload}"
        yield Flag(Kind.CORE_FULL, Severity.WARNING, who, _full(every))
        return
    for cell, found in full.items():
        yield Flag(Kind.CORE_FULL, Severity.WARNING, subject(cell), _full(found))


def _lost(cell: Cell, found: _Cell) -> Iterator[Flag]:
    for kind, shares, bound, what in (
        (Kind.RETRANSMITS, found.resent, RETRANSMITS, "segments sent again"),
        (Kind.DROPS, found.dropped, DROPS, "packets dropped on the way in"),
    ):
        if shares and median(shares) >= bound:
            yield Flag(
                kind,
                Severity.NOTE,
                subject(cell),
                f"{what}: {number(100 * median(shares), 2)} % of those that the payload takes, in "
                f"the median of {len(shares)} trials",
            )


def _often(found: _Cell) -> list[Busiest]:
    """The trials in which that core was full that was so most often."""
    seen: dict[tuple[str, int], list[Busiest]] = {}
    for one in found.full:
        seen.setdefault((one.end, one.core), []).append(one)
    return max(seen.values(), key=len)


def _full(found: _Cell) -> str:
    """Which core was full most often, how full, and with what."""
    often = _often(found)
    where = often[0]
    (mostly, _), *_ = Counter(one.mostly for one in often).most_common(1)
    held = " (pinned)" if where.pinned else ""
    hosts = ", ".join(dict.fromkeys(one.host for one in often if one.host))
    whose = f"{where.end} on {hosts}" if hosts else where.end
    others = len(found.full) - len(often)
    more = f"; in {others} of these another core" if others else ""
    return (
        f"in {len(found.full)} of {found.trials} trials; {whose}, core {where.core}{held}: "
        f"{100 * median(one.share for one in often):.1f} % busy, mostly {mostly}{more}"
    )
