"""How a cell went over the blocks: steps, trends, two levels, a baseline that does not hold still.

Steps and trends are looked for in the baseline's own values and in the other cells' ratios to it:
what befalls the machine or the line befalls all cells, and is said once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from bench.analysis.display import ratio_text
from bench.analysis.flags.bounds import subject
from bench.analysis.flags.flag import (
    BASELINE_MOVE,
    FALSE_ALARM,
    FEWEST_MOVES,
    MOVES,
    SMALLEST_GAP,
    SMALLEST_STEP,
    Flag,
    Kind,
    Severity,
)
from bench.analysis.flags.shape import Change, holm, levels, step, trend
from bench.analysis.flags.traffic import moved_before
from bench.analysis.series import NO_SERIES, Series
from bench.analysis.summary import CellSummary, Summary
from bench.estimate import Floats, Ints
from bench.model import Better, HostPair, Placement
from bench.store import StoredRun
from bench.units import DASH, human


@dataclass(frozen=True, slots=True, eq=False)
class Course:
    """One metric of a cell over the blocks.

    ``values`` are in the metric's unit; ``shares`` what is judged: the values themselves of a
    baseline, the ratios to it of another cell. ``blocks`` and ``pairs`` are those of each value.
    """

    row: CellSummary
    values: Floats
    shares: Floats
    blocks: Ints
    pairs: tuple[HostPair, ...]

    @property
    def logs(self) -> Floats:
        """The logarithms of the shares, each less the median of its own pair of hosts.

        Hosts differ, and blocks take turns over them: that is no course in time. Pairs with fewer
        than three blocks are left as they are, since their median would swallow a step.
        """
        logs = np.log(self.shares)
        numbers = {pair: number for number, pair in enumerate(dict.fromkeys(self.pairs))}
        of = np.array([numbers[pair] for pair in self.pairs])
        # The one middle for all, taken before any pair is moved to it.
        middle = float(np.median(logs))
        for number in numbers.values():
            own = of == number
            if np.count_nonzero(own) >= 3 and len(numbers) > 1:
                logs[own] += middle - float(np.median(logs[own]))
        return logs


def courses(run: StoredRun, summary: Summary) -> Iterator[Flag]:
    """The flags on how headline metrics went over the blocks."""
    found = list(_courses(run, summary))
    changed: set[int] = set()
    for place, flag in _changes(run, found):
        changed.add(place)
        yield flag
    split: set[tuple[object, ...]] = set()
    for place, one in enumerate(found):
        key = (one.row.workload, one.row.placement, one.row.metric)
        # A step is not two levels; and a baseline that has two gives them to every ratio.
        if place in changed or (key in split and not one.row.is_baseline):
            continue
        for flag in _levels(one):
            if one.row.is_baseline:
                split.add(key)
            yield flag
    # A workload's first metric says how fast the machine was; the others would repeat it.
    first = dict(reversed(summary.headlines))
    for one in found:
        if one.row.is_baseline and first[one.row.workload] == one.row.metric:
            yield from _moves(one)


def _courses(run: StoredRun, summary: Summary) -> Iterator[Course]:
    """The courses of all headline metrics, a baseline's before those of the cells beside it."""
    known = summary.series
    hosts = {(trial.block, trial.cell.placement): trial.pair for trial in run.results}
    headlines = set(summary.headlines)
    rows = [
        row for row in summary.cells if (row.workload, row.metric) in headlines and not row.cell.aa
    ]
    for row in sorted(rows, key=lambda row: not row.is_baseline):
        own = known.get((row.cell, row.metric.name), NO_SERIES)
        shares, places = own.values, np.arange(own.values.size)
        beside = [one for one in rows if one.is_baseline and _together(one, row)]
        if beside and not row.is_baseline:
            shares, places = _ratios(own, known.get((beside[0].cell, row.metric.name), NO_SERIES))
        if places.size and bool(np.all(shares > 0)):
            blocks = own.blocks[places]
            pairs = tuple(hosts[block, row.placement] for block in blocks.tolist())
            yield Course(row, own.values[places], shares, blocks, pairs)


def _together(one: CellSummary, other: CellSummary) -> bool:
    """Whether two rows are of one metric, workload and placement."""
    return (one.workload, one.placement, one.metric) == (
        other.workload,
        other.placement,
        other.metric,
    )


def _ratios(own: Series, baseline: Series) -> tuple[Floats, Ints]:
    """The ratios in blocks that have both, and the places of these in ``own``."""
    _, ours, theirs = np.intersect1d(own.blocks, baseline.blocks, return_indices=True)
    values, below = own.values[ours], baseline.values[theirs]
    good = below > 0
    return values[good] / below[good], ours[good]


def _changes(run: StoredRun, found: list[Course]) -> Iterator[tuple[int, Flag]]:
    """Steps and trends that hold although so many cells were looked at."""
    tried: list[tuple[int, Kind, Change]] = []
    for place, one in enumerate(found):
        logs = one.logs
        stepped, trended = step(logs), trend(logs)
        if stepped is None or trended is None:
            continue
        kind, change = (Kind.STEP, stepped) if stepped.p <= trended.p else (Kind.TREND, trended)
        # Two looks at one course: the better of them counts double.
        change = Change(change.at, change.before, change.after, min(1.0, 2 * change.p))
        tried.append((place, kind, change))
    for (place, kind, change), held in zip(
        tried, holm([change.p for _, _, change in tried], FALSE_ALARM), strict=True
    ):
        size = float(np.expm1(abs(change.after - change.before)))
        if held and size >= SMALLEST_STEP:
            yield place, _changed(run, found[place], kind, change)


def _changed(run: StoredRun, one: Course, kind: Kind, change: Change) -> Flag:
    """The flag of a step or trend, in the words of what it was found in."""
    factor = float(np.exp(change.after - change.before))
    verb = "fell" if factor < 1 else "rose"
    block = int(one.blocks[change.at])
    scale = one.shares[: change.at], one.shares[change.at :]
    if kind is Kind.TREND:
        third = one.shares.size // 3
        scale = one.shares[:third], one.shares[-third:]
    first, last = (float(np.median(part)) for part in scale)
    if one.row.is_baseline:
        levels_said = f"from {human(first, one.row.unit)} to {human(last, one.row.unit)}"
    else:
        levels_said = (
            f"from {ratio_text(first)} to {ratio_text(last)} of the host network's value in the "
            "same block"
        )
    when = (
        f"at block {block + 1} of {run_blocks(one)}"
        if kind is Kind.STEP
        else "bit by bit, from the first third of the blocks to the last"
    )
    said = f"{verb} {levels_said} ({100 * (factor - 1):+.0f} %) {when} ({_chance(change.p)})"
    worse = (factor < 1) == (one.row.better is Better.HIGHER)
    if kind is Kind.STEP and worse and one.row.placement is Placement.CROSS_HOST:
        said += moved_before(run, block)
    return Flag(kind, Severity.WARNING, subject(one.row.cell, one.row.metric), said)


def _chance(p: float) -> str:
    return "p < 0.0001" if p < 0.0001 else f"p = {p:.1g}"


def run_blocks(one: Course) -> int:
    """How many blocks there are up to a course's last."""
    return int(one.blocks.max()) + 1


def _levels(one: Course) -> Iterator[Flag]:
    found = levels(np.log(one.shares))
    if found is None:
        return
    upper = np.array(found.upper)
    high, low = (float(np.median(one.shares[part])) for part in (upper, ~upper))
    if high / low - 1 < SMALLEST_GAP:
        return
    parts = []
    for part, share in ((upper, high), (~upper, low)):
        value = human(float(np.median(one.values[part])), one.row.unit)
        ratio = "" if one.row.is_baseline else f" ({ratio_text(share)} of the host network)"
        parts.append(f"{np.count_nonzero(part)} around {value}{ratio}")
    said = f"of {upper.size} blocks {parts[0]} and {parts[1]}, and none in between"
    yield Flag(
        Kind.BIMODAL,
        Severity.WARNING,
        subject(one.row.cell, one.row.metric),
        said + _by_hosts(one.pairs, found.upper),
    )


def _by_hosts(pairs: tuple[HostPair, ...], upper: tuple[bool, ...]) -> str:
    """Whether the two levels are simply those of different hosts."""
    sides: dict[HostPair, set[bool]] = {}
    for pair, side in zip(pairs, upper, strict=True):
        sides.setdefault(pair, set()).add(side)
    if len(sides) < 2 or any(len(seen) > 1 for seen in sides.values()):
        return ""
    slower = ", ".join(f"{p.client} to {p.server}" for p, seen in sides.items() if seen == {False})
    return f"; the lower is that of {slower}: the hosts differ"


def _moves(one: Course) -> Iterator[Flag]:
    """How often the baseline was far from what it was the last time between the same hosts."""
    last: dict[HostPair, tuple[int, float]] = {}
    moves: list[tuple[float, HostPair, int, int]] = []
    for block, pair, value in zip(one.blocks.tolist(), one.pairs, one.values.tolist(), strict=True):
        if pair in last:
            before, was = last[pair]
            moves.append((value / was - 1, pair, before, block))
        last[pair] = block, value
    # Twice as much and half as much are moves of one size.
    far = [move for move in moves if max(1 + move[0], 1 / (1 + move[0])) > 1 + BASELINE_MOVE]
    # One stumble in many blocks is what blocks are there for.
    if len(far) >= max(FEWEST_MOVES, MOVES * len(moves)):
        worst, pair, before, block = max(far, key=lambda move: max(1 + move[0], 1 / (1 + move[0])))
        yield Flag(
            Kind.BASELINE_MOVED,
            Severity.NOTE,
            subject(one.row.cell, one.row.metric),
            f"by more than {100 * BASELINE_MOVE:.0f} % in {len(far)} of {len(moves)} steps from "
            f"one block to the next of the same hosts; worst {100 * worst:+.0f} % "
            f"({pair.client} to {pair.server}, blocks {before + 1}{DASH}{block + 1})",
        )
