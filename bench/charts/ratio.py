"""What each driver costs next to the host's own network: one dot and interval a cell."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from bench.analysis.display import absence, ratio_span, treatment
from bench.analysis.summary import CellSummary, Summary
from bench.charts.style import (
    FAINT,
    INK,
    Look,
    drivers_only,
    figure,
    footer,
    looks,
    panel_title,
    title,
)
from bench.model import Better, Cell, Metric, Placement
from bench.units import number

# A linear axis on which the largest ratio is more than these times the smallest hides the small.
_WIDE = 4.0

Panels = dict[tuple[str, Metric, Placement], tuple[CellSummary, ...]]


def ratios(summary: Summary) -> Figure | None:
    """A row for each headline metric, a column for each placement; None below two ratios."""
    panels: Panels = {
        (workload, metric, placement): rows
        for workload, metric in summary.headlines
        for placement in summary.placements
        if (rows := _compared(summary.rows(workload, placement, metric)))
    }
    shown = [row for rows in panels.values() for row in rows if row.ratio is not None]
    if sum(not row.cell.aa for row in shown) < 2:
        return None
    metrics = list(dict.fromkeys((workload, metric) for workload, metric, _ in panels))
    placements = list(dict.fromkeys(placement for _, _, placement in panels))
    heights = [
        max(len(panels.get((*one, placement), ())) for placement in placements) + 1.2
        for one in metrics
    ]
    chart = figure(2.0 + 4.4 * max(1.3, len(placements)), 1.4 + 0.32 * sum(heights))
    grid = chart.subplots(
        *(len(metrics), len(placements)), squeeze=False, sharex=True, height_ratios=heights
    )
    engine = chart.get_layout_engine()
    assert isinstance(engine, ConstrainedLayoutEngine)
    engine.set(wspace=0.05)
    look, limits = looks(summary), _limits(shown)
    for line, one in enumerate(metrics):
        for column, placement in enumerate(placements):
            axes = grid[line][column]
            rows = panels.get((*one, placement), ())
            if rows:
                _panel(axes, rows, look)
                panel_title(axes, f"{one[1].title}, {placement} ({_direction(one[1])})")
            else:
                axes.set_axis_off()
    _scale(grid[0][0], limits)
    for axes in grid[-1]:
        axes.set_xlabel("times the host network's value")
    title(chart, "Ratio to the host network")
    log = ", log scale" if _is_wide(limits) else ""
    whiskers = "; whiskers: 95 % interval" if any(row.ratio_ci for row in shown) else ""
    copy = "\nGrey (A/A): the host network measured twice, which should lie on the line."
    footer(
        chart,
        summary,
        f"Dots: median over blocks of the ratio within the block{whiskers}; "
        f"line: the host network{log}.{copy if any(row.cell.aa for row in shown) else ''}",
    )
    return chart


def _compared(rows: Sequence[CellSummary]) -> tuple[CellSummary, ...]:
    """The rows beside the baseline; A/A cells, which are no drivers, at the bottom."""
    return (*drivers_only(row for row in rows if not row.is_baseline), *filter(_is_copy, rows))


def _is_copy(row: CellSummary) -> bool:
    return row.cell.aa > 0


def _panel(axes: Axes, rows: Sequence[CellSummary], look: dict[Cell, Look]) -> None:
    axes.grid(visible=False, axis="y")
    axes.axvline(1.0, color=INK, linewidth=1.2)
    for place, row in enumerate(rows):
        if row.ratio is None:
            axes.text(
                *(0.01, place, "no ratio" if row.median is not None else absence(row)),
                transform=axes.get_yaxis_transform(),
                va="center",
                color=FAINT,
                style="italic",
            )
            continue
        style = look[row.cell]
        low, high = row.ratio_ci or (row.ratio, row.ratio)
        axes.errorbar(
            *(row.ratio, place),
            xerr=[[max(0.0, row.ratio - low)], [max(0.0, high - row.ratio)]],
            color=style.color,
            marker=style.marker,
            markersize=7,
            markeredgecolor="white",
            capsize=4,
            linewidth=1.8,
        )
        axes.text(
            *(1.015, place, ratio_span(row.ratio, row.ratio_ci)),
            transform=axes.get_yaxis_transform(),
            va="center",
            fontsize=9,
        )
    axes.set_yticks(range(len(rows)), [treatment(row.cell) for row in rows])
    for label, row in zip(axes.get_yticklabels(), rows, strict=True):
        label.set_color(FAINT if row.cell.aa else INK)
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(len(rows) - 0.5, -0.5)


def _limits(shown: Sequence[CellSummary]) -> tuple[float, float]:
    bounds = [1.0]
    for row in shown:
        assert row.ratio is not None
        bounds += [row.ratio, *(row.ratio_ci or ())]
    return min(bounds), max(bounds)


def _is_wide(limits: tuple[float, float]) -> bool:
    return limits[1] > _WIDE * limits[0]


def _scale(axes: Axes, limits: tuple[float, float]) -> None:
    """Set the axis that all panels share, with room for the labels at both ends."""
    low, high = limits
    if not _is_wide(limits):
        room = max(0.06 * (high - low), 0.03)
        axes.set_xlim(max(0.0, low - room), high + room)
        axes.xaxis.set_major_locator(MaxNLocator(7, steps=[1, 2, 5, 10]))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.2f}"))
        return
    room = 10 ** (0.06 * math.log10(high / low))
    axes.set_xscale("log")
    axes.set_xlim(low / room, high * room)
    subs = (1.0, 2.0, 5.0) if high / low < 1e3 else (1.0,)
    axes.xaxis.set_major_locator(LogLocator(subs=subs, numticks=12))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: number(value, 1)))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _direction(metric: Metric) -> str:
    return "higher is better" if metric.better is Better.HIGHER else "lower is better"
