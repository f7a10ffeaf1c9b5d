"""What netbench measured, as asv's benchmarks: their names, units and values.

A benchmark is a metric of a workload in one placement; its one parameter is the treatment, as
``bridge/published-host``. asv takes lower for better throughout, so a metric of which more is
better goes in as time per amount, and says so in its name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from bench.analysis.series import NO_SERIES, Series, paired
from bench.drivers import BASELINE
from bench.estimate import Floats
from bench.history.sequence import Came, Measured
from bench.model import Access, Better, Cell, Metric, Status

SECONDS = "seconds"
# Of a metric of which more is better: how much of its unit's amount one exported value is for.
_PER = {"bit/s": (8e9, "GB"), "1/s": (1e3, "1000")}


@dataclass(frozen=True, slots=True)
class Shown:
    """What the pages call a benchmark, and how they explain it."""

    title: str
    about: str


@dataclass(frozen=True, slots=True)
class Benchmark:
    """A benchmark of asv's, without its treatments. ``version`` is another when its values mean
    something else."""

    name: str
    unit: str
    version: str
    shown: Shown


@dataclass(frozen=True, slots=True, eq=False)
class Point:
    """What a run has for one benchmark and treatment: its samples, one a block. Without samples it
    was skipped, or failed."""

    samples: tuple[float, ...]
    failed: bool = False


Grid = Mapping[Benchmark, Mapping[str, Point]]


def grid(run: Measured, *, every_metric: bool = False) -> Grid:
    """What a run has for asv of its headline metrics, or of all, in the order of its plan; without
    A/A cells, which are for its own report."""
    found: dict[Benchmark, dict[str, Point]] = {}
    for cell, came in run.cells.items():
        for metric in () if cell.aa else run.info.metrics.get(cell.workload, ()):
            if not (metric.headline or every_metric):
                continue
            for benchmark, point in _points(run, cell, came, metric):
                found.setdefault(benchmark, {})[treatment(cell)] = point
    return found


def merged(grids: Sequence[Grid]) -> Grid:
    """Runs of one commit as one: all their samples; where there are none, the last one's word."""
    found: dict[Benchmark, dict[str, Point]] = {}
    for one in grids:
        for benchmark, points in one.items():
            known = found.setdefault(benchmark, {})
            for name, point in points.items():
                samples = known[name].samples if name in known else ()
                known[name] = Point((*samples, *point.samples), point.failed)
    return found


def treatment(cell: Cell) -> str:
    return f"{cell.driver}/{cell.access}"


def baseline_of(cell: Cell) -> Cell:
    return Cell(BASELINE, Access.DIRECT, cell.placement, cell.workload)


def worse_up(metric: Metric, values: Floats) -> Floats:
    """Values of a metric as times per amount, or as they are where less of them is better."""
    if metric.better is Better.LOWER:
        return values
    amount, _ = _per(metric)
    return amount / values[values > 0]


def ratios(metric: Metric, own: Series, baseline: Series) -> Floats:
    """How many times the baseline's time or amount a cell took, block by block."""
    pairs = paired(own, baseline)
    good = (pairs.values > 0) & (pairs.baselines > 0)
    up, down = pairs.values[good], pairs.baselines[good]
    return down / up if metric.better is Better.HIGHER else up / down


def _points(
    run: Measured, cell: Cell, came: Came, metric: Metric
) -> Iterator[tuple[Benchmark, Point]]:
    own = came.series.get(metric.name, NO_SERIES)
    # Trials that completed and have no value of what every trial must have failed too.
    bad = came.status is Status.FAILED or (came.status is Status.COMPLETED and metric.headline)
    yield _own(cell, metric), _point(worse_up(metric, own.values), failed=bad)
    beside = run.cells.get(baseline_of(cell))
    if metric.headline and cell.driver != BASELINE and beside is not None:
        compared = ratios(metric, own, beside.series.get(metric.name, NO_SERIES))
        yield _to_host(cell, metric), _point(compared, failed=bad)


def _point(values: Floats, *, failed: bool) -> Point:
    good = values[np.isfinite(values)]
    return Point(tuple(good.tolist()), failed=failed and not good.size)


@cache
def _own(cell: Cell, metric: Metric) -> Benchmark:
    unit = SECONDS if metric.unit == "s" else metric.unit
    if metric.better is Better.LOWER:
        about = f"{metric.title}, in {unit}; less is better."
        return _benchmark(cell, metric, metric.name, unit, Shown(metric.title, about))
    amount, per = _per(metric)
    unit = SECONDS if metric.unit.endswith("/s") else f"1/{metric.unit}"
    about = f"{amount:g} by the {metric.title} in {metric.unit}: a rate that falls goes up here."
    shown = Shown(f"{metric.title}, {unit} per {per}", about)
    return _benchmark(cell, metric, f"{metric.name}_as_{unit}_per_{per}", unit, shown)


@cache
def _to_host(cell: Cell, metric: Metric) -> Benchmark:
    about = f"{metric.title}: how many times as slow as host, in the same block, on the same hosts."
    shown = Shown(f"{metric.title}, times host", about)
    return _benchmark(cell, metric, f"{metric.name}_times_host", "times host", shown)


def _benchmark(cell: Cell, metric: Metric, name: str, unit: str, shown: Shown) -> Benchmark:
    return Benchmark(
        # A parameter's marks mean something else in the address of a page.
        name=f"{re.sub('[:=]', '-', cell.workload)}.{cell.placement}.{name}",
        unit=unit,
        version=f"1:{metric.unit}:{metric.better}:{unit}",
        # The pages have the workload above it.
        shown=Shown(f"{cell.placement} {shown.title}", shown.about),
    )


def _per(metric: Metric) -> tuple[float, str]:
    amount = metric.unit.removesuffix("/s")
    return _PER.get(metric.unit, (1.0, amount if amount != metric.unit else "one"))
