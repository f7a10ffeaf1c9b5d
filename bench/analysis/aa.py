"""Can a run be believed? What it made of a difference that is none."""

from __future__ import annotations

from dataclasses import dataclass

from bench.analysis.display import ratio_span
from bench.analysis.summary import CellSummary, Summary
from bench.estimate import FEWEST_TO_JUDGE, smallest_effect
from bench.units import percent

# Nobody needs to know of smaller differences.
_LEAST = 0.001


@dataclass(frozen=True, slots=True)
class Copy:
    """One headline metric of an A/A cell: the baseline measured twice under two labels.

    ``covers`` says whether the interval of their ratio holds 1, None where there is none;
    ``smallest`` is the effect, as a share, that a cell with as much noise and as many blocks would
    have shown in four runs of five.
    """

    row: CellSummary
    covers: bool | None
    smallest: float | None

    @property
    def words(self) -> str:
        """What the copy says of the run, in one sentence."""
        row = self.row
        where = f"{row.metric.title}, {row.placement}"
        if row.ratio is None:
            return f"{where}: the second measurement has no ratio to the first."
        share = max(row.ratio, 1 / row.ratio) - 1
        apart = percent(share) if share >= _LEAST else f"less than {percent(_LEAST)}"
        said = f"{where}: two measurements of the same thing differ by {apart}"
        if self.covers is None or self.smallest is None:
            return f"{said}; {row.pairs} of the {FEWEST_TO_JUDGE} blocks that a verdict takes."
        span = f"ratio {ratio_span(row.ratio, row.ratio_ci)}"
        effect = (
            f"an effect of less than {percent(self.smallest)}"
            if self.smallest < 1
            else "even twice as much or half as much"
        )
        missed = f"{effect} would likely be missed here"
        if self.covers:
            return f"{said} ({span}, which holds 1); {missed}."
        return (
            f"{said} ({span}, which leaves 1 out). So it is with one such comparison in twenty by "
            f"chance alone; if it comes again, do not believe differences of this size; {missed}."
        )


def copies(summary: Summary) -> tuple[Copy, ...]:
    """The A/A cells of a run in their headline metrics; nothing where it had none."""
    headlines = set(summary.headlines)
    return tuple(
        _copy(row)
        for row in summary.cells
        if row.cell.aa and (row.workload, row.metric) in headlines
    )


def _copy(row: CellSummary) -> Copy:
    if not row.ratio or row.ratio_ci is None or row.pairs < FEWEST_TO_JUDGE or row.ratio_ci[0] <= 0:
        return Copy(row, None, None)
    low, high = row.ratio_ci
    return Copy(row, low <= 1 <= high, smallest_effect(row.ratio, row.ratio_ci))
