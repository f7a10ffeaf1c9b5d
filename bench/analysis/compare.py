"""Two stored runs cell by cell: what changed, how sure that is, and whether it got worse.

A treatment is judged by the change of its paired ratio, a ratio of ratios: a machine that is faster
or slower today changes a driver and its baseline alike. The baseline itself has only its own value;
that is judged too, with an interval widened for what neighbouring blocks have in common.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from bench.analysis.change import CellChange, Comparison, Kind, reach
from bench.analysis.gate import LEVEL, drifting_change, fails_more, holm
from bench.analysis.likeness import differences, same_metric
from bench.analysis.series import Series, paired, series
from bench.analysis.summary import CellSummary, summarise
from bench.drivers import BASELINE
from bench.errors import UsageError
from bench.estimate import FEWEST_TO_JUDGE, Logs, change, log_ratios, p_worse
from bench.model import Access, Better, Cell
from bench.store import StoredRun


def compare(
    base: StoredRun,
    new: StoredRun,
    threshold: float,
    *,
    every_metric: bool = False,
    judge_baseline: bool = True,
) -> Comparison:
    """Hold ``new`` against ``base``; worse is worse by more than ``threshold``, a share below 1.

    Headline metrics are judged, with ``every_metric`` all. Without ``judge_baseline`` the change of
    the baselines is told and not judged. Raises UsageError where the runs have no cell in common,
    and StoreError for a damaged histogram.
    """
    couples = _couples(base, new, every_metric=every_metric)
    if not any(one is not None and other is not None for one, other in couples):
        raise UsageError(
            f"{base.path} and {new.path} have no cell in common",
            "compare runs of the same drivers, placements and workloads",
        )
    found = series(base), series(new)
    rows = [_row(one, other, found, judge_baseline=judge_baseline) for one, other in couples]
    return Comparison(
        base=base.info,
        new=new.info,
        threshold=threshold,
        differences=differences(base.info, new.info),
        cells=tuple(_failing(_judged(rows, threshold))),
    )


_Couple = tuple[CellSummary | None, CellSummary | None]
_Key = tuple[Cell, str]


def _couples(base: StoredRun, new: StoredRun, *, every_metric: bool) -> list[_Couple]:
    """The same metric of the same cell in both runs, in BASE's order, then what only NEW has."""
    summaries = summarise(base), summarise(new)
    leading = {
        (workload, metric.name) for summary in summaries for workload, metric in summary.headlines
    }
    known = [
        {
            (cell.cell, cell.metric.name): cell
            for cell in summary.cells
            if every_metric or (cell.workload, cell.metric.name) in leading
        }
        for summary in summaries
    ]
    couples: list[_Couple] = []
    for key in dict.fromkeys([*known[0], *known[1]]):
        one, other = known[0].get(key), known[1].get(key)
        if one and other and not same_metric(one.metric, other.metric):
            couples += [(one, None), (None, other)]
        else:
            couples.append((one, other))
    return couples


def _row(
    base: CellSummary | None,
    new: CellSummary | None,
    found: Sequence[Mapping[_Key, Series]],
    *,
    judge_baseline: bool,
) -> CellChange:
    """One row, not judged yet: what can be judged has the kind NOISY until it is."""
    some = base or new
    assert some is not None
    row = CellChange(some.cell, some.metric, base, new, Kind.NOTHING)
    if base is None or new is None:
        return replace(row, kind=Kind.ONLY_NEW if base is None else Kind.ONLY_BASE)
    if not (base.values and new.values):
        return replace(row, kind=Kind.NOT_JUDGED if row.cell.aa else _presence(base, new))
    values = [_values(one, row) for one in found]
    value = None if None in values else drifting_change(*filter(None, values))
    if row.is_baseline:
        kind = _fitness(values) if judge_baseline else Kind.NOT_JUDGED
        return replace(row, kind=kind, change=value, value=value)
    ratios = [_ratios(one, row) for one in found]
    kind = Kind.NOT_JUDGED if row.cell.aa else _fitness(ratios)
    ratio = None if None in ratios else change(*filter(None, ratios))
    return replace(row, kind=kind, change=ratio, value=value)


def _values(found: Mapping[_Key, Series], row: CellChange) -> Logs | None:
    """The logarithms of the cell's own values, None where one of them has none."""
    own = found[row.cell, row.metric.name]
    return None if (own.values <= 0).any() else Logs(np.log(own.values), own.groups)


def _ratios(found: Mapping[_Key, Series], row: CellChange) -> Logs | None:
    """The logarithms of value / baseline of each block, None where one of them has none."""
    baseline = Cell(BASELINE, Access.DIRECT, row.cell.placement, row.cell.workload)
    if (baseline, row.metric.name) not in found:
        return Logs(np.empty(0))
    pairs = paired(found[row.cell, row.metric.name], found[baseline, row.metric.name])
    logs = log_ratios(pairs.values, pairs.baselines)
    return Logs(logs, pairs.groups) if logs.size == pairs.values.size else None


def _presence(base: CellSummary, new: CellSummary) -> Kind:
    """What it means that a run has no value of a cell that both planned."""
    one, other = (base, new) if base.values else (new, base)
    # Trials that completed without this metric: it is none that every trial must have.
    if not one.values or (other.completed and not other.metric.headline):
        return Kind.NOTHING
    if new.values:
        return Kind.WORKS_NOW
    only_skipped = new.skipped and not new.failed and not new.completed
    return Kind.NEWLY_SKIPPED if only_skipped else Kind.NEWLY_FAILED


def _fitness(runs: Sequence[Logs | None]) -> Kind:
    """Whether there is enough in both runs to judge."""
    sizes = [logs.values.size for logs in runs if logs is not None]
    if len(sizes) < len(runs) or not all(sizes):
        return Kind.NOTHING
    return Kind.FEW if min(sizes) < FEWEST_TO_JUDGE else Kind.NOISY


def _judged(rows: Sequence[CellChange], threshold: float) -> list[CellChange]:
    """The rows with their verdicts: first all p-values, as the correction needs them together."""
    levels = {
        place: p
        for place, row in enumerate(rows)
        if row.kind is Kind.NOISY and row.change is not None
        if (p := p_worse(row.change, threshold, row.metric.better)) is not None
    }
    corrected = dict(zip(levels, holm(list(levels.values())), strict=True))
    return [
        replace(
            row,
            kind=_verdict(row, threshold, corrected[place]),
            p=levels[place],
            adjusted=corrected[place],
        )
        if place in levels
        else row
        for place, row in enumerate(rows)
    ]


def _verdict(row: CellChange, threshold: float, adjusted: float) -> Kind:
    if row.change is None or row.change.interval is None:
        return Kind.CREDIBLY_WORSE if adjusted < LEVEL else Kind.NOISY
    low, high = row.change.interval
    # The p-value is of one side, the interval of two: with one line alone and much noise the first
    # may be small while the second still holds 1, and what may be nothing is not credible.
    if adjusted < LEVEL and not low <= 1 <= high:
        return Kind.CREDIBLY_WORSE
    if reach(row.change.interval) <= threshold:
        return Kind.SAME
    if low <= 1 <= high:
        return Kind.NOISY
    good = (low > 1) == (row.metric.better is Better.HIGHER)
    return Kind.BETTER if good else Kind.WORSE


def _failing(rows: Sequence[CellChange]) -> list[CellChange]:
    """The rows, those of cells marked of which clearly more trials fail than did.

    Corrected over the cells of which some trial failed at all: of any other, nothing could ever be
    found (Tarone 1990).
    """
    counts = {
        row.cell: (*_ended(row.base), *_ended(row.new))
        for row in rows
        if not row.cell.aa and row.base and row.new and row.base.values and row.new.values
    }
    counts = {cell: count for cell, count in counts.items() if count[1] + count[3]}
    levels = holm([fails_more(*count) for count in counts.values()])
    more = {cell for cell, p in zip(counts, levels, strict=True) if p < LEVEL}
    return [
        replace(row, kind=Kind.FAILS_MORE) if row.cell in more and not row.regression else row
        for row in rows
    ]


def _ended(cell: CellSummary) -> tuple[int, int]:
    """How many of the cell's trials were good, and how many failed; a zero is a failure."""
    return cell.completed - cell.zeros, cell.failed + cell.zeros
