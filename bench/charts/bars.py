"""A metric of which more is better, by driver and placement: bars from zero, intervals, trials."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.analysis.display import absence, scale_for, treatment
from bench.analysis.summary import CellSummary, Summary
from bench.charts.style import (
    INK,
    Look,
    absent,
    comparable,
    drivers_only,
    figure,
    footer,
    looks,
    panel_title,
    title,
    value_label,
)
from bench.model import Cell, Metric
from bench.units import Scale

# More dots than these are a smear; beyond, an even selection in the order of the blocks is drawn.
MOST_DOTS = 100
_WIDTH = 0.7


def bars(summary: Summary, workload: str, metric: Metric) -> Figure | None:
    """A panel for each placement; None where no placement has two values to compare."""
    panels = {
        placement: rows
        for placement in summary.placements
        if (rows := drivers_only(summary.rows(workload, placement, metric)))
    }
    if not any(comparable(rows) for rows in panels.values()):
        return None
    # Wide enough for the longest line under a bar.
    longest = max(
        len(line) for rows in panels.values() for row in rows for line in _tick(row).split("\n")
    )
    each = max(1.15, 0.15 + 0.078 * longest)
    chart = figure(max(6.4, 1.0 + each * sum(map(len, panels.values()))), 4.4)
    all_axes = chart.subplots(
        1, len(panels), squeeze=False, width_ratios=[len(rows) for rows in panels.values()]
    )[0]
    scale = scale_for(metric.unit, [row.median for rows in panels.values() for row in rows])
    look = looks(summary)
    for axes, (placement, rows) in zip(all_axes, panels.items(), strict=True):
        _panel(axes, rows, scale, look)
        panel_title(axes, placement.value)
        value_label(axes, f"{metric.title} ({scale.unit})")
    title(chart, f"{metric.title} by driver ({workload})")
    selected = max(len(row.values) for rows in panels.values() for row in rows) > MOST_DOTS
    dots = f"dots: {MOST_DOTS} of the trials" if selected else "dots: single trials"
    shown = any(row.ci is not None for rows in panels.values() for row in rows)
    whiskers = "; whiskers: 95 % interval" if shown else ""
    several = " Each panel has its own scale." if len(panels) > 1 else ""
    footer(
        chart,
        summary,
        f"Bars: median, higher is better{whiskers}; {dots}, first block leftmost.{several}",
    )
    return chart


def _panel(axes: Axes, rows: Sequence[CellSummary], scale: Scale, look: dict[Cell, Look]) -> None:
    axes.grid(visible=False, axis="x")
    top = max((scale.apply(value) for row in rows for value in row.values), default=1.0) or 1.0
    for place, row in enumerate(rows):
        if row.median is None:
            absent(axes, place, top, absence(row))
        else:
            _bar(axes, place, row, scale, look[row.cell])
    axes.set_ylim(0, top * 1.16)
    axes.set_xlim(-0.6, len(rows) - 0.4)
    axes.set_xticks(range(len(rows)), [_tick(row) for row in rows], fontsize=9)
    axes.tick_params(axis="x", length=0)


def _bar(axes: Axes, place: int, row: CellSummary, scale: Scale, look: Look) -> None:
    assert row.median is not None
    height = scale.apply(row.median)
    axes.bar(place, height, _WIDTH, color=look.color, alpha=0.30, linewidth=0)
    axes.bar(
        place, height, _WIDTH, facecolor="none", edgecolor=look.color, hatch=look.hatch, linewidth=1
    )
    values = [scale.apply(value) for value in _selected(row.values)]
    side = np.linspace(-0.27, 0.27, len(values)) if len(values) > 1 else np.zeros(1)
    axes.scatter(
        *(place + side, values),
        s=16 if len(values) <= 20 else 6,
        color=look.color,
        edgecolors="white",
        linewidths=0.6,
        zorder=3,
    )
    reach = max([height, *values])
    if row.ci is not None:
        low, high = (scale.apply(bound) for bound in row.ci)
        axes.errorbar(
            *(place, height),
            yerr=[[max(0.0, height - low)], [max(0.0, high - height)]],
            color=INK,
            capsize=5,
            linewidth=1.4,
            zorder=4,
        )
        reach = max(reach, high)
    axes.annotate(
        *(scale.text(row.median), (place, reach)),
        xytext=(0, 5),
        textcoords="offset points",
        ha="center",
        fontweight="bold",
        fontsize=9,
    )


def _selected(values: tuple[float, ...]) -> list[float]:
    if len(values) <= MOST_DOTS:
        return list(values)
    places = np.linspace(0, len(values) - 1, MOST_DOTS).round().astype(int)
    return [values[place] for place in places.tolist()]


def _tick(row: CellSummary) -> str:
    missing = row.planned - row.rested - row.completed
    partly = row.median is not None and missing > 0
    return treatment(row.cell, "\n") + (
        f"\n{row.completed} of {row.planned - row.rested} trials" if partly else ""
    )
