"""What a summary says in words: what is missing and why, how far to trust it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from bench.analysis.aa import copies
from bench.analysis.display import absence, ratio_text, treatment
from bench.analysis.flags import Flag, Kind, Severity
from bench.analysis.summary import FINISHED, CellSummary, Outcome, Summary
from bench.analysis.verdict import Kind as Judged
from bench.analysis.verdict import about, plus_minus
from bench.estimate import CONFIDENCE, FEWEST, confidence
from bench.model import Better, Metric, Placement
from bench.store import StoredRun
from bench.units import percent

# Of one kind of flag a terminal shows the first; of what makes numbers useless, up to so many.
_MOST_ALARMS = 5
_MOST_COPIES = 3
_FIGURES = re.compile(r"\d+(?:[.,]\d+)*(?: [kMGT]?B\b)?")


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
    """Workload, headline metric, placement and the cells that stand beside a baseline there; A/A
    cells are no drivers and not among them."""
    for workload, metric in summary.headlines:
        for placement in summary.placements:
            rows = summary.rows(workload, placement, metric)
            others = tuple(row for row in rows if not row.is_baseline and not row.cell.aa)
            if any(row.ratio is not None for row in others):
                yield workload, metric, placement, others


def _clause(row: CellSummary) -> str:
    who = printable(treatment(row.cell))
    if row.ratio is None:
        return f"{who} {absence(row) if row.median is None else 'has no ratio'}"
    said = f"{who} {ratio_text(row.ratio)} of host"
    return f"{said}, {verdict(row)}" if row.verdict.words else said


def verdict(row: CellSummary) -> str:
    """A verdict without the advice that follows it."""
    return row.verdict.words.partition(";")[0]


def believable(summary: Summary) -> tuple[str, ...]:
    """What the A/A cells say of the run."""
    return tuple(printable(copy.words) for copy in copies(summary))


def believable_in_short(summary: Summary) -> tuple[str, ...]:
    """The same for a terminal: of many A/A comparisons what they come to, and which failed."""
    found = copies(summary)
    if len(found) <= _MOST_COPIES:
        return believable(summary)
    judged = [one for one in found if one.covers is not None]
    effects = sorted(one.smallest for one in judged if one.smallest is not None)
    lines = [
        f"{len(found)} headline metrics of the host network were measured twice (A/A): "
        + (
            f"the interval of {sum(one.covers is True for one in judged)} of {len(judged)} ratios "
            f"holds 1; effects of less than {percent(effects[0])} to {percent(effects[-1])}, by "
            "metric, would likely be missed here."
            if judged
            else "in too few blocks to say anything."
        )
    ]
    lines += [printable(one.words) for one in judged if not one.covers]
    return tuple(lines)


def noticed(flags: Sequence[Flag]) -> tuple[str, ...]:
    """The flags for a terminal: alarms one by one, of any other kind the first and how many."""
    counts = Counter(flag.kind for flag in flags)
    shown: Counter[Kind] = Counter()
    lines = []
    for flag in flags:
        shown[flag.kind] += 1
        alarm = flag.severity is Severity.ALARM
        most = _MOST_ALARMS if alarm else 1
        if shown[flag.kind] > most:
            continue
        rest = counts[flag.kind] - most if shown[flag.kind] == most else 0
        more = f" (and {rest} more, see the report)" if rest > 0 else ""
        mark = f"{flag.severity.value}: " if alarm else ""
        lines.append(printable(f"{mark}{flag.title}: {flag.subject}: {flag.evidence}{more}"))
    return tuple(lines)


def missing(summary: Summary) -> tuple[str, ...]:
    """A line for each reason for which trials were skipped or failed: who, where, how often.

    Reasons that differ in their figures alone are one, and the commonest of them is told.
    """
    grouped: dict[tuple[str, str, str], list[Outcome]] = {}
    for one in summary.outcomes:
        key = (treatment(one.cell), one.status.value, _FIGURES.sub("0", one.reason))
        grouped.setdefault(key, []).append(one)
    return tuple(
        f"{who}, {_listed(one.cell.placement.value for one in group)}, "
        f"{_listed(one.cell.workload for one in group)}: "
        f"{counted(sum(one.trials for one in group), 'trial')} {status}: {_example(group)}"
        for (who, status, _), group in grouped.items()
    )


def _example(alike: Sequence[Outcome]) -> str:
    told = max(alike, key=lambda one: one.trials).reason
    several = "for example: " if any(one.reason != told for one in alike) else ""
    return several + (printable(told) or "no reason was recorded")


def trust(summary: Summary) -> tuple[str, ...]:
    """What a reader must know before believing the intervals."""
    lines = []
    counts = {len(cell.values) for cell in summary.cells if cell.values}
    fewest, most = min(counts, default=0), max(counts, default=0)
    if 0 < most < FEWEST:
        lines.append(
            f"No cell has more than {counted(most, 'trial')}: too few for intervals, and what is "
            "shown may be chance. Measure 6 blocks or more (--blocks)."
        )
    elif confidence(fewest) < CONFIDENCE and counts:
        lines.append(
            f"Some cells have only {counted(fewest, 'trial')}. Below 6 an interval is the range of "
            "the values and holds the true median with 94 % confidence at 5, 88 % at 4, 75 % at 3; "
            "below 3 there is none, and below 6 no verdict. More blocks (--blocks) make firmer "
            "ones."
        )
    lines += _unpaired(summary)
    lines += _noisy(summary)
    if summary.shared_kernel:
        lines.append(
            "The hosts share one kernel (lab): what crosses hosts never leaves this machine. "
            "Compare the drivers; do not read the numbers as those of a network."
        )
    return tuple(lines)


def _unpaired(summary: Summary) -> Iterator[str]:
    """Cells that were measured in blocks in which the baseline was not."""
    alone = {
        row.cell: len(row.values) - row.pairs
        for row in summary.cells
        if row.metric.headline and not row.is_baseline and row.values
    }
    most = max(alone.values(), default=0)
    if most > 0:
        cells = sum(lost > 0 for lost in alone.values())
        yield (
            f"{counted(cells, 'cell')} had values in blocks without one of the baseline, up to "
            f"{counted(most, 'block')}: there is no ratio for those."
        )


def _noisy(summary: Summary) -> Iterator[str]:
    rows = [row for *_, rows in compared(summary) for row in rows if row.verdict.words]
    noisy = sorted(row.verdict.more_blocks for row in rows if row.verdict.kind is Judged.NOISY)
    if noisy:
        target = plus_minus(rows[0].verdict.target)
        most = noisy[(len(noisy) - 1) // 2]
        whom = "it" if len(noisy) == 1 else "half of them"
        yield (
            f"{len(noisy)} of {counted(len(rows), 'comparison')} with the host network "
            f"{'is' if len(noisy) == 1 else 'are'} too noisy to tell: about "
            f"{about(most)} more {'block' if most == 1 else 'blocks'} would settle {whom} to "
            f"{target} (--target)."
        )


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
    # How many blocks a run with a target was to have, nobody knew beforehand.
    if ended < planned and run.info.plan.stopping is None:
        lines.append(f"{ended} of {planned} planned trials were carried out.")
    lines += [printable(note) for note in run.notes]
    if run.end is not None:
        lines += [f"Could not be removed: {printable(one)}" for one in run.end.outstanding]
    return tuple(lines)


def printable(text: str) -> str:
    """One line of text without control characters, which tools and hosts may have sent."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def counted(count: int, what: str) -> str:
    """A number and what it counts, in the plural where it is one."""
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _listed(names: Iterable[str]) -> str:
    return " and ".join(dict.fromkeys(names))
