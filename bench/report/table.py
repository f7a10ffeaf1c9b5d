"""The summary as tables for a terminal."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator, Sequence

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from bench.analysis.display import absence, ratio_text, shared_scales, treatment
from bench.analysis.flags import Flag
from bench.analysis.summary import CellSummary, Summary
from bench.analysis.verdict import Kind as Judged
from bench.model import Placement
from bench.report.words import believable_in_short, missing, noticed, printable, trust, verdict
from bench.units import Scale

# Wide enough for the longest names of drivers and metrics; for output that is not a terminal.
PLAIN_WIDTH = 100

_STYLES = {Judged.WORSE: "red", Judged.BETTER: "green"}


def console() -> Console:
    """Standard output: as wide as the terminal, and of one fixed width where there is none."""
    # An output that cannot show a dash or a micro sign gets a question mark, not an error.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    return Console(width=None if sys.stdout.isatty() else PLAIN_WIDTH, highlight=False)


def render_table(summary: Summary, flags: Sequence[Flag] = ()) -> RenderableType:
    """One table per workload and placement, then what is missing and why, and how far to trust it:
    the A/A cells, ``flags`` in short, and the limits of the intervals.

    Show it with `console`, or with one of that width.
    """
    names = [treatment(cell.cell) for cell in summary.cells]
    widest = max(map(len, names), default=0)
    parts = [
        part
        for workload in dict.fromkeys(cell.workload for cell in summary.cells)
        for placement in summary.placements
        for part in _table(summary, workload, placement, widest)
    ]
    parts += _section("Not measured", missing(summary))
    parts += _section("Can this run be believed?", believable_in_short(summary))
    parts += _section("What was noticed", noticed(flags))
    parts += _section("Before you trust this", trust(summary))
    return Group(*parts)


def _table(
    summary: Summary, workload: str, placement: Placement, widest: int
) -> Iterator[RenderableType]:
    metrics = [metric for owner, metric in summary.headlines if owner == workload]
    rows = {metric: summary.rows(workload, placement, metric) for metric in metrics}
    if not any(rows.values()):
        return
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column(Text("driver".ljust(widest + 2)))
    table.add_column("to host", justify="right", no_wrap=True, min_width=8)
    table.add_column("verdict (95 % interval)", min_width=16)
    table.add_column("median", justify="right", no_wrap=True, min_width=7)
    table.add_column("95 % interval", justify="right", no_wrap=True)
    table.add_column("done", justify="right", no_wrap=True)
    scales = shared_scales(cell for group in rows.values() for cell in group)
    for metric, group in rows.items():
        scale = scales[metric.unit]
        table.add_row(Text(f"{printable(metric.title)}, {scale.unit}"))
        for row in group:
            table.add_row(*_row(row, scale))
    yield Text(f"{printable(workload)}, {placement}", style="bold")
    yield table
    yield Text("")


def _row(row: CellSummary, scale: Scale) -> tuple[RenderableType, ...]:
    said = absence(row) if row.median is None else verdict(row)
    troubled = row.skipped or row.failed or row.zeros
    return (
        Padding(Text(printable(treatment(row.cell))), (0, 0, 0, 2)),
        Text("baseline" if row.is_baseline else ratio_text(row.ratio)),
        Text("" if row.is_baseline and row.median is not None else said, style=_style(row)),
        Text(scale.text(row.median)),
        Text(scale.span(row.ci)),
        Text(
            f"{row.completed}/{row.planned - row.rested}",
            style="yellow" if troubled else "",
        ),
    )


def _style(row: CellSummary) -> str:
    return _STYLES.get(row.verdict.kind, "")


def _section(title: str, lines: tuple[str, ...]) -> list[RenderableType]:
    if not lines:
        return []
    said = [Padding(Text(printable(line)), (0, 0, 0, 2), expand=False) for line in lines]
    return [Text(title, style="bold"), *said, Text("")]
