"""A stored run in one value: what each cell came to, next to the baseline, and what is missing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from bench.analysis.latency import Latency, merged_latencies
from bench.analysis.search import Search, searches
from bench.analysis.series import NO_SERIES, Series, paired, series
from bench.analysis.verdict import Verdict, judge
from bench.drivers import BASELINE
from bench.estimate import Range, half_width, median, median_interval, paired_ratio, spread
from bench.model import Access, Better, Cell, Metric, Placement, Status
from bench.store import StoredRun

# How a run ended that did all it set out to do.
FINISHED = "finished"


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
    number of blocks in which both have a value. ``zeros`` counts the completed trials whose value
    was not above zero in a headline metric: failures, which are in none of these numbers.

    ``planned`` is in how many blocks the cell could have had a trial; ``rested`` in how many of
    them it had none because the run had settled it before (never, in a run of a fixed number).
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
    verdict: Verdict
    planned: int
    completed: int
    skipped: int
    failed: int
    reasons: tuple[str, ...]
    zeros: int = 0
    rested: int = 0

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

    @property
    def half_width(self) -> float | None:
        """How far the ratio's interval reaches, as a share of the ratio (on the log scale)."""
        if not self.ratio or self.ratio_ci is None or self.ratio_ci[0] <= 0:
            return None
        return half_width(self.ratio, self.ratio_ci)


@dataclass(frozen=True, slots=True)
class Summary:
    """What a run came to.

    ``cells`` has one entry per cell and metric, in the plan's order; ``series`` what they were made
    of, the values by block; ``searches`` the rates that were tried where a workload searches.
    """

    run: str
    shared_kernel: bool
    blocks: int
    cells: tuple[CellSummary, ...]
    outcomes: tuple[Outcome, ...]
    latencies: tuple[Latency, ...]
    series: Mapping[tuple[Cell, str], Series] = field(compare=False, repr=False)
    searches: tuple[Search, ...] = ()

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
            if (cell.workload, cell.placement) == (workload, placement)
            # Its title tells the workload's parameters.
            and cell.metric.name == metric.name
        )


def summarise(run: StoredRun) -> Summary:
    """The summary of a stored run. Raises StoreError where a stored histogram is damaged."""
    info = run.info
    cells = tuple(dict.fromkeys([*info.plan.cells, *(trial.cell for trial in run.results)]))
    ended = Counter((trial.cell, trial.status) for trial in run.results)
    outcomes = _outcomes(run, cells)
    begun = _begun(run)
    rested = _rested(run, cells, begun)
    stopping = info.plan.stopping
    found = series(run)
    summaries = []
    for cell in cells:
        reasons = tuple(
            dict.fromkeys(one.reason for one in outcomes if one.cell == cell and one.reason)
        )
        baseline = Cell(BASELINE, Access.DIRECT, cell.placement, cell.workload)
        for metric in info.metrics.get(cell.workload, ()):
            own = found.get((cell, metric.name), NO_SERIES)
            pairs = paired(own, found.get((baseline, metric.name), NO_SERIES))
            ratio, ratio_ci = paired_ratio(pairs.values, pairs.baselines, pairs.groups)
            summaries.append(
                CellSummary(
                    cell=cell,
                    metric=metric,
                    values=tuple(own.values.tolist()),
                    median=median(own.values),
                    ci=median_interval(own.values, own.groups),
                    iqr=spread(own.values),
                    ratio=ratio,
                    ratio_ci=ratio_ci,
                    pairs=pairs.values.size,
                    verdict=judge(
                        metric,
                        ratio,
                        ratio_ci,
                        pairs.values.size,
                        stopping.target if stopping else None,
                        baseline=cell == baseline,
                    ),
                    planned=begun,
                    completed=ended[cell, Status.COMPLETED],
                    skipped=ended[cell, Status.SKIPPED],
                    failed=ended[cell, Status.FAILED],
                    reasons=reasons,
                    zeros=own.zeros,
                    rested=rested.get(cell, 0),
                )
            )
    return Summary(
        run=info.run,
        shared_kernel=info.shared_kernel,
        blocks=begun,
        cells=tuple(summaries),
        outcomes=outcomes,
        latencies=merged_latencies(run, cells),
        series=found,
        searches=searches(run, cells),
    )


def _begun(run: StoredRun) -> int:
    """The blocks that there were to be: the plan's, or as many as an adaptive run has begun."""
    if run.info.plan.stopping is None:
        return run.info.plan.blocks
    seen = max((trial.block + 1 for trial in run.results), default=0)
    return max(seen, run.end.blocks if run.end is not None else 0)


def _rested(run: StoredRun, cells: Sequence[Cell], begun: int) -> dict[Cell, int]:
    """In how many blocks of an adaptive run each cell was left out as settled."""
    if run.info.plan.stopping is None or begun == 0:
        return {}
    present: dict[Cell, set[int]] = {cell: set() for cell in cells}
    for trial in run.results:
        present[trial.cell].add(trial.block)
    # Of the block in which a run was cut off, what was awake in the block before is missing.
    cut = run.end is None or run.end.outcome != FINISHED
    last = begun - 1
    return {
        cell: begun
        - len(blocks)
        - int(cut and last not in blocks and (last == 0 or last - 1 in blocks))
        for cell, blocks in present.items()
    }


def _outcomes(run: StoredRun, cells: Sequence[Cell]) -> tuple[Outcome, ...]:
    counted = Counter(
        (trial.cell, trial.status, trial.reason)
        for trial in run.results
        if trial.status is not Status.COMPLETED
    )
    order = {cell: place for place, cell in enumerate(cells)}
    found = [Outcome(*key, trials=count) for key, count in counted.items()]
    return tuple(sorted(found, key=lambda one: order[one.cell]))
