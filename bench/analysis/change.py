"""What became of cells from one run to another, and the words for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from bench.analysis.likeness import Difference
from bench.analysis.summary import CellSummary
from bench.analysis.verdict import difference, plus_minus, width_text
from bench.estimate import FEWEST_TO_JUDGE, Change, Range, half_width
from bench.model import Cell, Metric, RunInfo


class Kind(StrEnum):
    """What became of one metric of one cell from BASE to NEW."""

    CREDIBLY_WORSE = "credibly-worse"
    WORSE = "worse"
    SAME = "no-change"
    BETTER = "better"
    NOISY = "too-noisy"
    FEW = "too-few-blocks"
    NEWLY_FAILED = "newly-failed"
    NEWLY_SKIPPED = "newly-skipped"
    FAILS_MORE = "fails-more"
    WORKS_NOW = "works-now"
    ONLY_BASE = "only-in-base"
    ONLY_NEW = "only-in-new"
    NOTHING = "nothing-to-compare"
    NOT_JUDGED = "not-judged"


MINUS = "\N{MINUS SIGN}"
REGRESSIONS = frozenset(
    {Kind.CREDIBLY_WORSE, Kind.NEWLY_FAILED, Kind.NEWLY_SKIPPED, Kind.FAILS_MORE}
)
# Those that come of a statistical judgement.
_JUDGED = frozenset({Kind.CREDIBLY_WORSE, Kind.WORSE, Kind.SAME, Kind.BETTER, Kind.NOISY})


@dataclass(frozen=True, slots=True)
class CellChange:
    """One metric of one cell in both runs; None for a run that has no such cell or metric.

    ``change`` is the change (new / base) of what this cell is judged by: of the paired ratio, for
    baselines of the value. ``value`` is the change of the value in its own unit. ``p`` is the
    one-sided p-value against "not worse by more than the threshold", ``adjusted`` the same after
    Holm's correction over all judged cells; None where nothing was judged.
    """

    cell: Cell
    metric: Metric
    base: CellSummary | None
    new: CellSummary | None
    kind: Kind
    change: Change | None = None
    value: Change | None = None
    p: float | None = None
    adjusted: float | None = None

    @property
    def regression(self) -> bool:
        return self.kind in REGRESSIONS

    @property
    def judged(self) -> bool:
        return self.kind in _JUDGED or self.p is not None

    @property
    def is_baseline(self) -> bool:
        some = self.base or self.new
        return some is not None and some.is_baseline

    def words(self, threshold: float) -> str:
        """The verdict as it is shown, of a gate set to ``threshold``."""
        return _WORDS[self.kind](self, threshold)

    @property
    def blocks(self) -> int:
        """The number of blocks that a judgement rests on, in the run that has fewer."""
        return min(
            0 if one is None else len(one.values) if one.is_baseline else one.pairs
            for one in (self.base, self.new)
        )


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two runs held against each other; ``cells`` in the order of BASE's plan, then of NEW's."""

    base: RunInfo
    new: RunInfo
    threshold: float
    differences: tuple[Difference, ...]
    cells: tuple[CellChange, ...]

    @property
    def regressions(self) -> tuple[CellChange, ...]:
        return tuple(cell for cell in self.cells if cell.regression)

    @property
    def judged(self) -> tuple[CellChange, ...]:
        return tuple(cell for cell in self.cells if cell.judged)


def reach(interval: Range) -> float:
    """How far from 1 the farther bound is, as a share: 0.03 for an interval from 0.97 to 1.01."""
    return max(interval[1] - 1, 1 - interval[0])


def percent(share: float) -> str:
    return f"{share * 100:g} %"


def _differs(row: CellChange) -> str:
    found = row.change
    if found is None or found.ratio is None or found.interval is None:
        return ""
    return difference(row.metric, found.ratio, found.interval)


def _within(row: CellChange) -> str:
    if row.change is None or row.change.interval is None:
        return ""
    return f"within {plus_minus(reach(row.change.interval))}"


def _noise(row: CellChange, threshold: float) -> str:
    """How wide the interval is; where it would be narrow enough and lies badly, where it lies."""
    found = row.change
    if found is None or not found.ratio or found.interval is None or found.interval[0] <= 0:
        return "too noisy to tell"
    wide = half_width(found.ratio, found.interval)
    if wide > threshold:
        return f"too noisy to tell: {width_text(wide)}"
    low, high = (f"{(bound - 1) * 100:+.1f}" for bound in found.interval)
    return f"too noisy to tell: {low} to {high} %".replace("-", MINUS)


def _failed(row: CellChange) -> str:
    ran = row.new is not None and (row.new.completed or row.new.failed or row.new.skipped)
    return "newly failed" if ran else "newly failed: not reached"


def _failures(row: CellChange) -> str:
    counts = [
        (one.failed + one.zeros, one.failed + one.completed)
        for one in (row.base, row.new)
        if one is not None
    ]
    return "fails more often: " + ", now ".join(f"{bad} of {trials}" for bad, trials in counts)


def _empty(row: CellChange) -> str:
    for name, one in (("BASE", row.base), ("NEW", row.new)):
        if one is None or not one.values:
            return f"nothing to compare: no value in {name}"
    return "nothing to compare: no ratio (a zero, or no baseline)"


_WORDS: dict[Kind, Callable[[CellChange, float], str]] = {
    Kind.CREDIBLY_WORSE: lambda row, limit: f"{_differs(row)}, credibly more than {percent(limit)}",
    Kind.WORSE: lambda row, limit: f"{_differs(row)}, not credibly more than {percent(limit)}",
    Kind.SAME: lambda row, limit: f"no change beyond {percent(limit)}: {_within(row)}",
    Kind.BETTER: lambda row, _: _differs(row),
    Kind.NOISY: _noise,
    Kind.FEW: lambda row, _: f"too few blocks: {row.blocks} of {FEWEST_TO_JUDGE}",
    Kind.NEWLY_FAILED: lambda row, _: _failed(row),
    Kind.NEWLY_SKIPPED: lambda _row, _limit: "newly skipped",
    Kind.FAILS_MORE: lambda row, _: _failures(row),
    Kind.WORKS_NOW: lambda _row, _limit: "works now",
    Kind.ONLY_BASE: lambda _row, _limit: "only in BASE",
    Kind.ONLY_NEW: lambda _row, _limit: "only in NEW",
    Kind.NOTHING: lambda row, _: _empty(row),
    Kind.NOT_JUDGED: lambda row, _: "A/A: not judged" if row.cell.aa else "not judged",
}
