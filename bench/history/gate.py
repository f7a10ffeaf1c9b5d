"""Whether the newest runs of some hosts are worse than the ones before them: a verdict to fail on.

A driver is judged by its ratio to host in the same blocks, host by its own values, as `netbench
compare` does it for two runs. Here the runs before say how much a cell varies from run to run,
which no single run knows; the rule is in `bench.history.steps`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from bench.analysis.gate import holm
from bench.analysis.likeness import same_metric
from bench.analysis.series import NO_SERIES, Series
from bench.drivers import BASELINE
from bench.estimate import Floats, Range
from bench.history.grids import baseline_of, ratios, worse_up
from bench.history.machines import what_changed
from bench.history.sequence import Measured
from bench.history.steps import FEWEST_BEFORE, Step, scan
from bench.model import Better, Cell, Metric, Plan, Status

# Over all cells of a gate together, the chance that it fires without cause.
LEVEL = 0.005
FEWEST_RUNS = FEWEST_BEFORE + 1


@dataclass(frozen=True, slots=True)
class Worse:
    """A metric of a cell that is credibly worse since the run ``since``.

    ``ratio`` is after by before, of the ratio to host or, of host itself, of the value; with its
    95 % interval. ``after`` and ``before`` are numbers of runs, ``p`` is corrected for all cells.
    """

    cell: Cell
    metric: Metric
    since: Measured
    ratio: float
    interval: Range
    after: int
    before: int
    p: float


@dataclass(frozen=True, slots=True)
class Broken:
    """A cell that had values in the run before ``since``, and has had none from then on."""

    cell: Cell
    since: Measured
    status: Status
    reason: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a gate found in ``runs``, the last of which is the newest.

    ``judged`` is how many cells and metrics there was enough of; ``gone`` has the cells that the
    newest run was not to measure, ``apart`` the runs that were measured in another way.
    """

    runs: tuple[Measured, ...]
    threshold: float
    judged: int
    worse: tuple[Worse, ...]
    broken: tuple[Broken, ...]
    gone: tuple[Cell, ...]
    apart: tuple[Measured, ...]

    @property
    def exit(self) -> int:
        """1 when something is worse or broken, 2 when there was nothing to judge, else 0."""
        if self.worse or self.broken:
            return 1
        return 0 if self.judged else 2

    def changed(self, since: Measured) -> tuple[str, ...]:
        """What was new on the hosts in the run ``since``, a line each."""
        place = self.runs.index(since)
        return what_changed(self.runs[place - 1].info, since.info) if place else ()


def gate(
    runs: Sequence[Measured], threshold: float, window: int, *, judge_baseline: bool = True
) -> Verdict:
    """Judge the newest of ``runs``, which are of one machine and in their order.

    At most ``window`` runs are looked at. Worse is worse by more than ``threshold``, a share below
    1, and credibly worse than not at all.
    """
    plan = runs[-1].info.plan
    apart = tuple(run for run in runs if not _same_way(run.info.plan, plan))
    looked_at = tuple(run for run in runs if _same_way(run.info.plan, plan))[-window:]
    keys = list(headlines(looked_at[-1], judge_baseline=judge_baseline))
    histories = [history(looked_at, cell, metric) for cell, metric in keys]
    steps = scan([values for values, _ in histories])
    judged = [place for place, step in enumerate(steps) if step is not None]
    levels = holm([step.p for step in steps if step is not None])
    worse = []
    for place, p in zip(judged, levels, strict=True):
        (cell, metric), step, its = keys[place], steps[place], histories[place][1]
        assert step is not None
        if p < LEVEL and _matters(metric, step, threshold):
            worse.append(_worse(cell, metric, step, its[-step.newest], p))
    return Verdict(
        runs=looked_at,
        threshold=threshold,
        judged=len(judged),
        worse=tuple(worse),
        broken=tuple(_broken(looked_at)),
        gone=tuple(_gone(looked_at)),
        apart=apart,
    )


def _same_way(one: Plan, other: Plan) -> bool:
    return all(getattr(one, what) == getattr(other, what) for what in ("duration", "warmup", "pin"))


def headlines(newest: Measured, *, judge_baseline: bool) -> Iterator[tuple[Cell, Metric]]:
    """What is judged: the headline metrics of the newest run's cells."""
    for cell in newest.cells:
        if not cell.aa and (judge_baseline or cell.driver != BASELINE):
            for metric in newest.info.metrics.get(cell.workload, ()):
                if metric.headline:
                    yield cell, metric


def history(runs: Sequence[Measured], cell: Cell, metric: Metric) -> tuple[Floats, list[Measured]]:
    """The cell's logarithm in each run that has one, up for worse, and these runs; nothing where
    the newest has none."""
    found = [(value, run) for run in runs if (value := _value(run, cell, metric)) is not None]
    if not found or found[-1][1] is not runs[-1]:
        return np.empty(0), []
    return np.array([value for value, _ in found]), [run for _, run in found]


def _value(run: Measured, cell: Cell, metric: Metric) -> float | None:
    described = {one.name: one for one in run.info.metrics.get(cell.workload, ())}
    if metric.name not in described or not same_metric(described[metric.name], metric):
        return None
    own = _series(run, cell, metric)
    if cell.driver == BASELINE:
        values = worse_up(metric, own.values)
    else:
        values = ratios(metric, own, _series(run, baseline_of(cell), metric))
    good = values[np.isfinite(values) & (values > 0)]
    return float(np.median(np.log(good))) if good.size else None


def _series(run: Measured, cell: Cell, metric: Metric) -> Series:
    came = run.cells.get(cell)
    return NO_SERIES if came is None else came.series.get(metric.name, NO_SERIES)


def _matters(metric: Metric, step: Step, threshold: float) -> bool:
    """Worse by 5 % is 0.95 of a metric that should be high, 1.05 of one that should be low. An
    interval that holds no change is credible to nobody, whatever its one-sided p-value."""
    higher = metric.better is Better.HIGHER
    least = -math.log1p(-threshold) if higher else math.log1p(threshold)
    return step.change > max(least, step.reach)


def _worse(cell: Cell, metric: Metric, step: Step, since: Measured, p: float) -> Worse:
    sign = -1 if metric.better is Better.HIGHER else 1
    low, high = sorted(sign * (step.change + side * step.reach) for side in (-1, 1))
    return Worse(
        cell=cell,
        metric=metric,
        since=since,
        ratio=math.exp(sign * step.change),
        interval=(math.exp(low), math.exp(high)),
        after=step.newest,
        before=step.before,
        p=p,
    )


def _broken(runs: Sequence[Measured]) -> Iterator[Broken]:
    for cell, came in runs[-1].cells.items():
        if cell.aa or _works(runs[-1], cell):
            continue
        good = [place for place, run in enumerate(runs) if _works(run, cell)]
        if good:
            planned = [run for run in runs[good[-1] + 1 :] if cell in run.cells]
            reason = came.reason or "every trial came to zero"
            yield Broken(cell, planned[0], came.status, reason)


def _works(run: Measured, cell: Cell) -> bool:
    """Whether there are values of what every trial must have; a zero is none."""
    came = run.cells.get(cell)
    leading = [one.name for one in run.info.metrics.get(cell.workload, ()) if one.headline]
    return came is not None and all(
        came.series.get(name, NO_SERIES).values.size for name in leading
    )


def _gone(runs: Sequence[Measured]) -> Iterator[Cell]:
    known = dict.fromkeys(cell for run in runs for cell in run.cells if not cell.aa)
    return (cell for cell in known if cell not in runs[-1].cells)
