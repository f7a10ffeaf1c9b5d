"""What each thing on a path costs, where it can be told from two treatments' difference.

A path's hops say what it crosses. Two treatments of one run whose paths differ in one kind of hop
alone tell what that one costs: one step of the staircase from the host network up.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bench.analysis.series import NO_SERIES, paired
from bench.analysis.summary import Summary
from bench.analysis.verdict import Verdict, judge
from bench.drivers import BASELINE
from bench.estimate import paired_ratio
from bench.model import Access, Cell, Crossing, Metric, PathPicture, Placement, Plan

# What is there without any container network: it is not what a treatment adds.
_FREE = frozenset({Crossing.LOOPBACK, Crossing.INTERFACE})
_ORDER = tuple(Crossing)


@dataclass(frozen=True, slots=True)
class Treatment:
    """A driver and an access in one placement."""

    driver: str
    access: Access
    placement: Placement

    def cell(self, workload: str) -> Cell:
        return Cell(self.driver, self.access, self.placement, workload)


@dataclass(frozen=True, slots=True)
class Cost:
    """What a step does to one headline metric of a workload: the ratio of the treatment above to
    the one below, block by block."""

    workload: str
    metric: Metric
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Step:
    """``above`` crosses all that ``below`` does, and ``adds`` besides (in the order of Crossing).

    ``costs`` is empty where the run has no values of both.
    """

    above: Treatment
    below: Treatment
    adds: tuple[Crossing, ...]
    costs: tuple[Cost, ...] = ()


def staircase(
    pictures: tuple[PathPicture, ...], summary: Summary, plan: Plan
) -> Mapping[Treatment, tuple[Step, ...]]:
    """For each treatment that was measured its steps, from the host network up to it.

    A treatment stands on the one with the most in common with it among those that cross less: of
    the same driver before others, then in the plan's order. Where two kinds of hop come together
    in every treatment of the run, they are one step: it cannot be told which of them costs what.
    """
    crossed = _crossed(pictures, plan)
    found: dict[Treatment, tuple[Step, ...]] = {}
    # A treatment stands only on ones that cross less, whose own steps are known by then.
    for above in sorted(crossed, key=lambda one: len(crossed[one])):
        below = _below(above, crossed)
        if below is None:
            found[above] = ()
            continue
        adds = crossed[above] - crossed[below]
        ordered = tuple(one for one in _ORDER if one in adds)
        step = Step(above, below, ordered, _costs(summary, plan, above, below))
        found[above] = (*found[below], step)
    return found


def _crossed(pictures: tuple[PathPicture, ...], plan: Plan) -> dict[Treatment, frozenset[Crossing]]:
    measured = {Treatment(cell.driver, cell.access, cell.placement) for cell in plan.cells}
    found: dict[Treatment, frozenset[Crossing]] = {}
    for one in pictures:
        key = Treatment(one.driver, one.access, one.placement)
        if key in measured and one.hops and not one.broken:
            found.setdefault(key, frozenset(hop.crossing for hop in one.hops) - _FREE)
    return found


def _below(above: Treatment, crossed: Mapping[Treatment, frozenset[Crossing]]) -> Treatment | None:
    if above.driver == BASELINE:
        return None
    fitting = [
        one
        for one, kinds in crossed.items()
        if one.placement is above.placement and kinds < crossed[above]
    ]
    # Of those that cross nothing, the baseline is the one to compare with.
    return max(
        fitting,
        key=lambda one: (len(crossed[one]), one.driver == above.driver, one.driver == BASELINE),
        default=None,
    )


def _costs(summary: Summary, plan: Plan, above: Treatment, below: Treatment) -> tuple[Cost, ...]:
    found = []
    for workload, metric in summary.headlines:
        pairs = paired(
            summary.series.get((above.cell(workload), metric.name), NO_SERIES),
            summary.series.get((below.cell(workload), metric.name), NO_SERIES),
        )
        ratio, interval = paired_ratio(pairs.values, pairs.baselines, pairs.groups)
        if ratio is not None:
            target = plan.stopping.target if plan.stopping else None
            verdict = judge(metric, ratio, interval, int(pairs.values.size), target)
            found.append(Cost(workload, metric, verdict))
    return tuple(found)
