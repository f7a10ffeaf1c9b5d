"""A run's values as one array a cell and metric, in the order of the blocks, and their pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bench.estimate import Floats, Ints
from bench.model import Cell, HostPair, Status
from bench.store import Result, StoredRun


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """One metric of one cell: for each value its block and a number for its hosts.

    ``zeros`` counts the values that were left out: not above zero in a headline metric, which is
    a failure and never data.
    """

    values: Floats
    blocks: Ints
    groups: Ints
    zeros: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """The values that have a baseline in the same block, on the same hosts, beside it."""

    values: Floats
    baselines: Floats
    groups: Ints


NO_SERIES = Series(np.empty(0), np.empty(0, np.int64), np.empty(0, np.int64))


def series(run: StoredRun) -> dict[tuple[Cell, str], Series]:
    """The values of a run's completed trials by cell and metric name, each by its blocks."""
    trials: dict[Cell, dict[tuple[int, HostPair], Result]] = {}
    for trial in run.results:
        if trial.status is Status.COMPLETED:
            # A plan has every cell once a block. Should a run hold more, the last one counts.
            trials.setdefault(trial.cell, {})[trial.block, trial.pair] = trial
    numbers: dict[HostPair, int] = {}
    found = {}
    for cell, measured in trials.items():
        headlines = {one.name for one in run.info.metrics.get(cell.workload, ()) if one.headline}
        ordered = sorted(measured.values(), key=lambda trial: (trial.block, trial.sequence))
        groups = [numbers.setdefault(trial.pair, len(numbers)) for trial in ordered]
        for metric, of_metric in _by_metric(ordered, groups).items():
            found[cell, metric] = _above_zero(of_metric) if metric in headlines else of_metric
    return found


def paired(own: Series, baseline: Series) -> Pairs:
    """Each value of ``own`` with the baseline's of the same block and hosts, block by block."""
    most = max((int(one.groups.max()) for one in (own, baseline) if one.groups.size), default=0)
    here, there = (one.blocks * (most + 1) + one.groups for one in (own, baseline))
    if np.array_equal(here, there):
        return Pairs(own.values, baseline.values, own.groups)
    _, ours, theirs = np.intersect1d(here, there, assume_unique=True, return_indices=True)
    return Pairs(own.values[ours], baseline.values[theirs], own.groups[ours])


def _by_metric(ordered: Sequence[Result], groups: Sequence[int]) -> dict[str, Series]:
    columns: dict[str, tuple[list[int], list[float]]] = {}
    for place, one in enumerate(ordered):
        for sample in one.samples:
            column = columns.get(sample.metric)
            if column is None:
                column = columns[sample.metric] = ([], [])
            column[0].append(place)
            column[1].append(sample.value)
    blocks = np.array([one.block for one in ordered], dtype=np.int64)
    hosts = np.array(groups, dtype=np.int64)
    found = {}
    once_each = list(range(len(ordered)))
    for metric, (places, values) in columns.items():
        if places == once_each:
            found[metric] = Series(np.array(values), blocks, hosts)
            continue
        at = np.array(places)
        # Should a trial tell a metric twice, the last one counts.
        last = np.append(np.diff(at) != 0, True)
        at = at[last]
        found[metric] = Series(np.array(values)[last], blocks[at], hosts[at])
    return found


def _above_zero(found: Series) -> Series:
    good = found.values > 0
    if good.all():
        return found
    return Series(
        found.values[good], found.blocks[good], found.groups[good], int(good.size - good.sum())
    )
