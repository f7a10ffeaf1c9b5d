"""What a summary says in words: verdicts, what is missing and why, how far to trust it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from bench.analysis.display import absence, ratio_span, treatment
from bench.analysis.summary import CellSummary, Outcome, Summary
from bench.estimate import CONFIDENCE, FEWEST, confidence
from bench.model import Better, Metric, Placement
from bench.store import StoredRun

FEWEST_TO_JUDGE = 5
# How a run ended that did all it set out to do.
FINISHED = "finished"


def sentences(summary: Summary) -> tuple[str, ...]:
    """For each headline metric of which more is better, what every driver reaches of the host's."""
    return tuple(
        f"{printable(metric.title)}, {placement}: {'; '.join(_clause(row) for row in rows)}."
        for _, metric, placement, rows in compared(summary)
        if metric.better is Better.HIGHER
    )


def compared(
    summary: Summary,
) -> Iterator[tuple[str, Metric, Placement, tuple[CellSummary, ...]]]:
    """Workload, headline metric, placement and the cells that stand beside a baseline there."""
    for workload, metric in summary.headlines:
        for placement in summary.placements:
            rows = summary.rows(workload, placement, metric)
            others = tuple(row for row in rows if not row.is_baseline)
            if any(row.ratio is not None for row in others):
                yield workload, metric, placement, others


def _clause(row: CellSummary) -> str:
    who = printable(treatment(row.cell))
    if row.ratio is None:
        return f"{who} {absence(row) if row.median is None else 'has no ratio'}"
    ratio, _, interval = ratio_span(row.ratio, row.ratio_ci).partition(" ")
    said = f"{who} {ratio} of host{f' {interval}' if interval else ''}"
    return f"{said}, {judgement(row)}" if judgement(row) else said


def judgement(cell: CellSummary) -> str:
    """Whether the ratio's interval lies on one side of 1, and whether that is the good side.

    With fewer than five pairs all of them lie on one side too often by chance: no judgement then.
    """
    if cell.is_baseline or cell.ratio_ci is None or cell.pairs < FEWEST_TO_JUDGE:
        return ""
    low, high = cell.ratio_ci
    if low <= 1 <= high:
        return "no difference shown"
    return "better" if (low > 1) == (cell.better is Better.HIGHER) else "worse"


def missing(summary: Summary) -> tuple[str, ...]:
    """A line for each reason for which trials were skipped or failed: who, where, how often."""
    grouped: dict[tuple[str, str, str], list[Outcome]] = {}
    for one in summary.outcomes:
        key = (treatment(one.cell), one.status.value, one.reason)
        grouped.setdefault(key, []).append(one)
    return tuple(
        f"{who}, {_listed(one.cell.placement.value for one in group)}, "
        f"{_listed(one.cell.workload for one in group)}: "
        f"{_trials(sum(one.trials for one in group))} {status}: "
        f"{printable(reason) or 'no reason was recorded'}"
        for (who, status, reason), group in grouped.items()
    )


def trust(summary: Summary) -> tuple[str, ...]:
    """What a reader must know before believing the intervals."""
    lines = []
    counts = {len(cell.values) for cell in summary.cells if cell.values}
    fewest, most = min(counts, default=0), max(counts, default=0)
    if 0 < most < FEWEST:
        lines.append(
            f"No cell has more than {_trials(most)}: too few for intervals, and what is shown may "
            "be chance. Measure 6 blocks or more (--blocks)."
        )
    elif confidence(fewest) < CONFIDENCE and counts:
        lines.append(
            f"Some cells have only {_trials(fewest)}. Below 6 an interval is the range of the "
            "values and holds the true median with 94 % confidence at 5, 88 % at 4, 75 % at 3; "
            "below 3 there is none. More blocks (--blocks) make firmer ones."
        )
    if summary.shared_kernel:
        lines.append(
            "The hosts share one kernel (lab): what crosses hosts never leaves this machine. "
            "Compare the drivers; do not read the numbers as those of a network."
        )
    return tuple(lines)


def unfinished(run: StoredRun) -> tuple[str, ...]:
    """What is odd about a run: cut off, stopped, lines left out, things left on the hosts."""
    lines = []
    planned = len(run.info.plan.cells) * run.info.plan.blocks
    ended = len(run.trials)
    if run.end is None:
        lines.append("netbench was killed before this run ended; what it measured is below.")
    elif run.end.outcome != FINISHED:
        said = f": {printable(run.end.message)}" if run.end.message else ""
        lines.append(f"This run ended early, {printable(run.end.outcome)}{said}.")
    if ended < planned:
        lines.append(f"{ended} of {planned} planned trials were carried out.")
    lines += [printable(note) for note in run.notes]
    if run.end is not None:
        lines += [f"Could not be removed: {printable(one)}" for one in run.end.outstanding]
    return tuple(lines)


def printable(text: str) -> str:
    """One line of text without control characters, which tools and hosts may have sent."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _listed(names: Iterable[str]) -> str:
    return " and ".join(dict.fromkeys(names))


def _trials(count: int) -> str:
    return f"{count} trial" if count == 1 else f"{count} trials"
