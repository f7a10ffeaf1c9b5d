"""A stored run in one value: what each cell came to, next to the baseline, and what is missing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from bench.analysis.frame import samples_frame
from bench.analysis.latency import Latency, merged_latencies
from bench.drivers import BASELINE
from bench.estimate import Floats, Range, median, median_interval, paired_ratio, spread
from bench.model import Access, Better, Cell, Metric, Placement, Status
from bench.store import StoredRun

_CELL = ["driver", "aa", "access", "placement", "workload"]
# What a value and its baseline have in common. Client and server are those of the block.
_PAIRED = ["block", "client", "server", "placement", "workload", "metric"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How many trials of a cell were skipped or failed for one reason."""

    cell: Cell
    status: Status
    reason: str
    trials: int


@dataclass(frozen=True, slots=True)
class CellSummary:
    """One metric of one cell. All numbers are in the metric's unit; None is "there is none".

    ``values`` are the trials' values in the order of the blocks; ``ci`` the 95 % interval of their
    median; ``iqr`` their interquartile range. ``ratio`` is the median over blocks of this cell's
    value by the baseline's of the same block, ``ratio_ci`` its 95 % interval and ``pairs`` the
    number of blocks in which both have a value. ``planned`` is how many trials the plan had.
    """

    cell: Cell
    metric: Metric
    values: tuple[float, ...]
    median: float | None
    ci: Range | None
    iqr: float | None
    ratio: float | None
    ratio_ci: Range | None
    pairs: int
    planned: int
    completed: int
    skipped: int
    failed: int
    reasons: tuple[str, ...]

    @property
    def driver(self) -> str:
        return self.cell.driver

    @property
    def access(self) -> Access:
        return self.cell.access

    @property
    def placement(self) -> Placement:
        return self.cell.placement

    @property
    def workload(self) -> str:
        return self.cell.workload

    @property
    def unit(self) -> str:
        return self.metric.unit

    @property
    def better(self) -> Better:
        return self.metric.better

    @property
    def reason(self) -> str | None:
        return "; ".join(self.reasons) or None

    @property
    def is_baseline(self) -> bool:
        return self.cell.driver == BASELINE and self.cell.aa == 0


@dataclass(frozen=True, slots=True)
class Summary:
    """What a run came to. ``cells`` has one entry per cell and metric, in the plan's order."""

    run: str
    shared_kernel: bool
    blocks: int
    cells: tuple[CellSummary, ...]
    outcomes: tuple[Outcome, ...]
    latencies: tuple[Latency, ...]

    @property
    def placements(self) -> tuple[Placement, ...]:
        return tuple(dict.fromkeys(cell.placement for cell in self.cells))

    @property
    def headlines(self) -> tuple[tuple[str, Metric], ...]:
        """The (workload, metric)s to lead with; all of a workload's where it marks none."""
        metrics = dict.fromkeys((cell.workload, cell.metric) for cell in self.cells)
        marked = {workload for workload, metric in metrics if metric.headline}
        return tuple(
            (workload, metric)
            for workload, metric in metrics
            if metric.headline or workload not in marked
        )

    def rows(self, workload: str, placement: Placement, metric: Metric) -> tuple[CellSummary, ...]:
        """The cells to compare with each other in one metric."""
        return tuple(
            cell
            for cell in self.cells
            if (cell.workload, cell.placement, cell.metric) == (workload, placement, metric)
        )


def summarise(run: StoredRun) -> Summary:
    """The summary of a stored run. Raises StoreError where a stored histogram is damaged."""
    info = run.info
    cells = tuple(dict.fromkeys([*info.plan.cells, *(trial.cell for trial in run.trials)]))
    ended = Counter((trial.cell, trial.status) for trial in run.trials)
    outcomes = _outcomes(run, cells)
    values, pairs = _values(run)
    none: Floats = np.empty(0)
    found = []
    for cell in cells:
        reasons = tuple(
            dict.fromkeys(one.reason for one in outcomes if one.cell == cell and one.reason)
        )
        for metric in info.metrics.get(cell.workload, ()):
            key = (*_key(cell), metric.name)
            own = values.get(key, none)
            above, below = pairs.get(key, (none, none))
            ratio, ratio_ci = paired_ratio(above, below)
            found.append(
                CellSummary(
                    cell=cell,
                    metric=metric,
                    values=tuple(own.tolist()),
                    median=median(own),
                    ci=median_interval(own),
                    iqr=spread(own),
                    ratio=ratio,
                    ratio_ci=ratio_ci,
                    pairs=above.size,
                    planned=info.plan.blocks,
                    completed=ended[cell, Status.COMPLETED],
                    skipped=ended[cell, Status.SKIPPED],
                    failed=ended[cell, Status.FAILED],
                    reasons=reasons,
                )
            )
    return Summary(
        run=info.run,
        shared_kernel=info.shared_kernel,
        blocks=info.plan.blocks,
        cells=tuple(found),
        outcomes=outcomes,
        latencies=merged_latencies(run, cells),
    )


def _outcomes(run: StoredRun, cells: Sequence[Cell]) -> tuple[Outcome, ...]:
    counted = Counter(
        (trial.cell, trial.status, trial.reason)
        for trial in run.trials
        if trial.status is not Status.COMPLETED
    )
    order = {cell: place for place, cell in enumerate(cells)}
    found = [Outcome(*key, trials=count) for key, count in counted.items()]
    return tuple(sorted(found, key=lambda one: order[one.cell]))


Key = tuple[str, int, str, str, str, str]


def _values(run: StoredRun) -> tuple[dict[Key, Floats], dict[Key, tuple[Floats, Floats]]]:
    """Each cell's values by metric in the order of the blocks, and those that have a baseline in
    the same block together with it."""
    samples = samples_frame(run)
    samples = samples[(samples["status"] == Status.COMPLETED.value) & samples["value"].notna()]
    samples = samples.drop(columns=["run", "unit", "status", "reason"]).sort_values(
        ["block", "sequence"], kind="stable"
    )
    # A plan has every cell once a block. Should a run hold more, a pair is still one of each.
    samples = samples.drop_duplicates([*_CELL, *_PAIRED], keep="last")
    baseline = samples.loc[
        (samples["driver"] == BASELINE)
        & (samples["aa"] == 0)
        & (samples["access"] == Access.DIRECT.value),
        [*_PAIRED, "value"],
    ]
    paired = samples.merge(baseline, on=_PAIRED, suffixes=("", "_baseline"))
    return (
        {key: _array(group, "value") for key, group in _by_cell(samples)},
        {
            key: (_array(group, "value"), _array(group, "value_baseline"))
            for key, group in _by_cell(paired)
        },
    )


def _by_cell(samples: pd.DataFrame) -> list[tuple[Key, pd.DataFrame]]:
    grouped = samples.groupby([*_CELL, "metric"], observed=True, sort=False)
    return [(_as_key(key), group) for key, group in grouped]


def _as_key(key: object) -> Key:
    assert isinstance(key, tuple)
    driver, aa, access, placement, workload, metric = key
    return str(driver), int(aa), str(access), str(placement), str(workload), str(metric)


def _array(group: pd.DataFrame, column: str) -> Floats:
    return group[column].to_numpy(dtype=np.float64)


def _key(cell: Cell) -> tuple[str, int, str, str, str]:
    return cell.driver, cell.aa, cell.access.value, cell.placement.value, cell.workload
