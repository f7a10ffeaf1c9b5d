"""When a run has measured enough: which cells are settled, and if there is another block. Pure.

A run with a target goes on until the intervals of its ratios are narrow, or its budget of time is
used up. It looks at how wide they are and never at which side of 1 they lie: a run that ended as
soon as a difference showed would find differences that are none.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bench.drivers import BASELINE
from bench.estimate import half_width, paired_ratio
from bench.model import Cell, Metric, Placement, Plan, PlannedTrial, Status, Stopping, Trial
from bench.plan import TEARDOWN, pairs, seconds_a_trial, trials_of
from bench.units import lasting, percent

# How many of a cell's last trials say how long its next one may take.
REMEMBERED = 3
# How many cells the closing line names; the report has them all.
NAMED = 5

Group = tuple[str, Placement]


@dataclass(frozen=True, slots=True)
class Width:
    """How far one headline metric of a cell is known: ``share`` is the half-width of its paired
    ratio's interval, None where no ratio or interval can be formed from the ``pairs``."""

    metric: str
    pairs: int
    share: float | None
    formed: bool


class Rule:
    """Follows a run's trials: what is due in the next block, and why the run ends.

    ``metrics`` are those of each workload. Without ``plan.stopping`` every cell is due in every
    block and there is always time.
    """

    def __init__(self, plan: Plan, metrics: Mapping[str, Sequence[Metric]]) -> None:
        self.plan = plan
        self.headlines = {name: _headlines(found) for name, found in metrics.items()}
        self.pairs = len(pairs(plan))
        self.baselines = {
            _group(cell): cell for cell in plan.cells if cell.driver == BASELINE and not cell.aa
        }
        compared = [cell for cell in plan.cells if cell not in self.baselines.values()]
        beside = {_group(cell) for cell in compared}
        # A baseline that nothing is compared with is followed like the cells that are compared.
        alone = [cell for group, cell in self.baselines.items() if group not in beside]
        self.followed = (*compared, *alone)
        self.aa_counts = all(cell.driver == BASELINE for cell in compared) or (
            plan.stopping is not None and plan.stopping.aa
        )
        self.settled: set[Cell] = set()
        self.given_up: set[Cell] = set()
        self.widths: dict[Cell, tuple[Width, ...]] = {}
        # By cell, block and metric: only what is judged is kept, a trial may be large.
        self._values: dict[Cell, dict[int, dict[str, float]]] = {cell: {} for cell in plan.cells}
        self._missed = dict.fromkeys(plan.cells, 0)
        self._tried = dict.fromkeys(plan.cells, 0)
        self._lasted: dict[Cell, deque[float]] = {}
        self._block: dict[Cell, Status] = {}

    def due(self, block: int) -> tuple[PlannedTrial, ...]:
        """The trials of one block (from 0), in its order, without the cells at rest."""
        every = trials_of(self.plan, block)
        if self.plan.stopping is None:
            return every
        awake = self._awake()
        needed = {*awake, *(self.baselines[_group(cell)] for cell in awake)}
        return tuple(planned for planned in every if planned.cell in needed)

    def fits(self, trials: Iterable[PlannedTrial], spent: float) -> bool:
        """Whether these trials, and the clean-up, would end within the budget when ``spent``
        seconds of it are gone."""
        stopping = self.plan.stopping
        if stopping is None:
            return True
        ahead = sum(self._expected(planned.cell) for planned in trials)
        return spent + ahead + TEARDOWN <= stopping.budget

    def ended(self, trial: Trial, seconds: float) -> None:
        """Take note of a trial that took ``seconds`` with everything around it."""
        if self.plan.stopping is None:
            return
        self._block[trial.cell] = trial.status
        if trial.status is Status.COMPLETED:
            found = {sample.metric: sample.value for sample in trial.samples}
            # A zero in a headline metric is a failure and never data, here as in a report.
            self._values[trial.cell][trial.block] = {
                metric.name: found[metric.name]
                for metric in self.headlines[trial.cell.workload]
                if metric.name in found and (found[metric.name] > 0 or not metric.headline)
            }
        self._lasted.setdefault(trial.cell, deque(maxlen=REMEMBERED)).append(seconds)

    def judge(self) -> None:
        """At a block's end: see which of its cells may rest from now on."""
        stopping = self.plan.stopping
        for cell in self.followed:
            if stopping is not None and cell in self._block:
                self._judge(cell, stopping)
        self._block.clear()

    def reason(self, blocks: int) -> str:
        """Why a run of no fixed length ended after ``blocks`` blocks; nothing for a fixed one."""
        stopping = self.plan.stopping
        if stopping is None:
            return ""
        after = f"after {blocks} block{'' if blocks == 1 else 's'}"
        if self._wanted():
            over = f"the budget of {lasting(stopping.budget)} ended {after}"
            if blocks >= self.plan.blocks:
                over = f"ended {after}, the most that there can be"
            return over + self._unsettled(stopping)
        if not self.settled:
            ever = any(self._values[cell] for cell in self.followed)
            return f"no cell could be measured{' any more' if ever else ''} {after}"
        lost = len(self.given_up)
        which = f"every cell but {lost} that could not be measured" if lost else "every cell"
        if any(cell.aa for cell in self.followed if cell not in self.settled | self.given_up):
            which += ", the A/A cell in the background aside,"
        return f"{which} within ±{percent(stopping.target or 0)} {after}"

    def _judge(self, cell: Cell, stopping: Stopping) -> None:
        baseline = self.baselines[_group(cell)]
        if baseline not in self._block:
            return
        paired = {self._block[cell], self._block[baseline]} == {Status.COMPLETED}
        self._missed[cell] = 0 if paired else self._missed[cell] + 1
        if self._missed[cell] >= stopping.min_blocks:
            self.given_up.add(cell)
        if stopping.target is None:
            return
        common = sorted(self._values[cell].keys() & self._values[baseline].keys())
        widths = tuple(
            self._width(cell, baseline, metric.name, common)
            for metric in self.headlines[cell.workload]
        )
        self.widths[cell] = widths
        # An interval speaks of these hosts only when every pair of them had its turn.
        self._tried[cell] += 1
        enough = self._tried[cell] >= self.pairs and len(common) >= stopping.min_blocks
        if enough and all(_reached(width, stopping) for width in widths):
            self.settled.add(cell)

    def _width(self, cell: Cell, baseline: Cell, metric: str, blocks: Sequence[int]) -> Width:
        own, other = self._values[cell], self._values[baseline]
        both = [block for block in blocks if metric in own[block] and metric in other[block]]
        ratio, interval = paired_ratio(
            np.array([own[block][metric] for block in both]),
            np.array([other[block][metric] for block in both]),
            np.array(both, dtype=np.int64) % self.pairs,
        )
        share = None if ratio is None or interval is None else half_width(ratio, interval)
        return Width(metric, len(both), share, formed=ratio is not None)

    def _wanted(self) -> list[Cell]:
        """The cells for whose sake the run goes on."""
        return [
            cell
            for cell in self.followed
            if cell not in self.settled | self.given_up and (self.aa_counts or not cell.aa)
        ]

    def _awake(self) -> list[Cell]:
        """The cells to measure, the baselines aside: an A/A cell in the background takes part for
        as long as another needs their baseline."""
        wanted = self._wanted()
        groups = {_group(cell) for cell in wanted}
        background = [
            cell
            for cell in self.followed
            if cell.aa and cell not in self.settled | self.given_up and _group(cell) in groups
        ]
        return [*wanted, *background]

    def _expected(self, cell: Cell) -> float:
        """Seconds that the next trial of a cell may take: the longest of its last ones."""
        return max(self._lasted.get(cell, ()), default=seconds_a_trial(self.plan, cell))

    def _unsettled(self, stopping: Stopping) -> str:
        """Which cells have not reached the target and how wide they are, the widest first."""
        if stopping.target is None:
            return ""
        found = [(cell, _widest(self.widths.get(cell, ()), stopping)) for cell in self._wanted()]
        found.sort(key=lambda one: one[1][0], reverse=True)
        told = [f"{cell} ({text})" for cell, (_, text) in found[:NAMED]]
        more = [f"and {len(found) - NAMED} more"] if len(found) > NAMED else []
        return f"; not yet within ±{percent(stopping.target)}: {', '.join([*told, *more])}"


def _group(cell: Cell) -> Group:
    """What a cell shares with its baseline."""
    return cell.workload, cell.placement


def _headlines(metrics: Sequence[Metric]) -> tuple[Metric, ...]:
    """The metrics to settle; all of a workload's where it marks none."""
    return tuple(metric for metric in metrics if metric.headline) or tuple(metrics)


def _reached(width: Width, stopping: Stopping) -> bool:
    """Whether a metric needs no more blocks. Where there is no ratio (a zero among the values, or
    none at all) more blocks will not make one."""
    if not width.formed:
        return True
    return (
        width.pairs >= stopping.min_blocks
        and width.share is not None
        and width.share <= (stopping.target or 0)
    )


def _widest(widths: Sequence[Width], stopping: Stopping) -> tuple[float, str]:
    """A cell's widest metric that is not settled, and how to say it."""
    open_ = [width for width in widths if not _reached(width, stopping)]
    if not open_:
        return float("inf"), "no pair"
    width = max(open_, key=lambda one: float("inf") if one.share is None else one.share)
    if width.pairs < stopping.min_blocks or width.share is None:
        return float("inf"), f"{width.metric}: {width.pairs} of {stopping.min_blocks} pairs"
    return width.share, f"{width.metric} ±{percent(width.share)}"
