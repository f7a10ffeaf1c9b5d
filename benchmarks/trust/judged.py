"""What became of the trials: calibrated limits, false alarms, slow-downs found, fidelity.

A long run is cut into windows of so many blocks each, and every window is judged by netbench's own
summary, as a run of that many blocks would have been. The long run's own ratios, from all blocks,
are the truth that the windows are held against.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import isotonic_regression
from scipy.stats import binomtest

from bench.analysis.summary import CellSummary, summarise
from bench.analysis.verdict import Kind
from bench.estimate import Range, paired_ratio
from bench.store import StoredRun
from benchmarks.trust.bystander import ByHand

JUDGED = (Kind.WORSE, Kind.BETTER)


@dataclass(frozen=True, slots=True)
class Share:
    """How many of how many; the interval is exact, at 95 % (Clopper and Pearson 1934)."""

    hits: int
    of: int

    @property
    def interval(self) -> Range:
        if not self.of:
            return 0.0, 1.0
        found = binomtest(self.hits, self.of).proportion_ci()
        return float(found.low), float(found.high)


@dataclass(frozen=True, slots=True)
class Alarms:
    """Verdicts that called two measurements of the same thing different, for one metric."""

    title: str
    share: Share
    widths: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Found:
    """How often a slow-down was found: ``loss`` aimed at, ``limit`` the share of a CPU that brought
    it about, ``truth`` and ``bounds`` the ratio that all blocks together give."""

    title: str
    loss: float
    limit: float
    truth: float
    bounds: Range | None
    share: Share


@dataclass(frozen=True, slots=True)
class Fidelity:
    """netbench's value by the value of the same tool started by hand, in pairs."""

    workload: str
    ratio: float
    bounds: Range
    pairs: int


def windows(run: StoredRun, blocks: int) -> Iterator[StoredRun]:
    """The run cut into whole windows of so many blocks."""
    plan = replace(run.info.plan, blocks=blocks)
    trials = tuple(run.trials)
    for first in range(0, run.info.plan.blocks - blocks + 1, blocks):
        inside = tuple(t for t in trials if first <= t.block < first + blocks)
        yield replace(run, info=replace(run.info, plan=plan), trials=inside)


def limits(
    pilot: StoredRun, tried: Mapping[tuple[str, int], float], losses: Mapping[int, float]
) -> dict[tuple[str, int], float]:
    """For each workload and copy the CPU share at which the pilot's ratio is 1 less the loss."""
    rates = {(row.workload, row.cell.aa): row.ratio for row in _rates(pilot) if row.cell.aa}
    found = {}
    for workload in dict.fromkeys(name for name, _ in tried):
        points = sorted((share, rates[key]) for key, share in tried.items() if key[0] == workload)
        shares = [share for share, _ in points] + [1.0]
        ratios = isotonic_regression([ratio or 0.0 for _, ratio in points] + [1.0]).x
        for copy, loss in losses.items():
            found[workload, copy] = float(np.interp(1 - loss, ratios, shares))
    return found


def alarms(run: StoredRun, blocks: int, copies: Sequence[int]) -> list[Alarms]:
    """For each headline metric how often a window called an untouched copy different."""
    rows: dict[str, list[CellSummary]] = {}
    for window in windows(run, blocks):
        summary = summarise(window)
        headlines = {metric for _, metric in summary.headlines}
        for row in summary.cells:
            # What got no verdict, for want of pairs, could raise no alarm.
            judged = row.verdict.kind not in {Kind.FEW, Kind.NONE}
            if judged and row.cell.aa in copies and row.metric in headlines:
                rows.setdefault(row.metric.title, []).append(row)
    return [
        Alarms(
            title,
            Share(sum(row.verdict.kind in JUDGED for row in found), len(found)),
            tuple(row.half_width for row in found if row.half_width is not None),
        )
        for title, found in rows.items()
    ]


def found(
    run: StoredRun,
    blocks: int,
    losses: Mapping[int, float],
    limited: Mapping[tuple[str, int], float],
) -> list[Found]:
    """For each workload and slowed copy how often a window called it slower."""
    hits: dict[tuple[str, int], list[bool]] = {}
    for window in windows(run, blocks):
        for row in _rates(window):
            hits.setdefault((row.workload, row.cell.aa), []).append(row.verdict.kind is Kind.WORSE)
    return [
        Found(
            row.metric.title,
            losses[row.cell.aa],
            limited[row.workload, row.cell.aa],
            row.ratio,
            row.ratio_ci,
            Share(sum(hits[row.workload, row.cell.aa]), len(hits[row.workload, row.cell.aa])),
        )
        for row in _rates(run)
        if row.cell.aa in losses and row.ratio is not None
    ]


def fidelity(measured: Iterable[ByHand]) -> list[Fidelity]:
    """The paired ratio of netbench's values to those by hand, per workload."""
    grouped: dict[str, list[ByHand]] = {}
    for one in measured:
        grouped.setdefault(one.workload, []).append(one)
    result = []
    for workload, ones in grouped.items():
        names = sorted({one.pair for one in ones})
        ratio, bounds = paired_ratio(
            np.array([one.netbench for one in ones]),
            np.array([one.hand for one in ones]),
            np.array([names.index(one.pair) for one in ones]),
        )
        assert ratio is not None
        assert bounds is not None
        result.append(Fidelity(workload, ratio, bounds, len(ones)))
    return result


def _rates(run: StoredRun) -> list[CellSummary]:
    """Each cell's first metric: how much got through."""
    first: dict[object, CellSummary] = {}
    for row in summarise(run).cells:
        first.setdefault(row.cell, row)
    return list(first.values())
