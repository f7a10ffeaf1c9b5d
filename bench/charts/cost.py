"""The CPU time of a unit of work, stacked by kind: where a driver's cost is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.analysis.cpu import CpuUse
from bench.analysis.display import absence, treatment
from bench.analysis.load import Kinds
from bench.analysis.summary import CellSummary, Summary
from bench.charts.style import (
    INK,
    absent,
    comparable,
    drivers_only,
    figure,
    footer,
    panel_title,
    title,
    value_label,
)
from bench.model import Cell, Metric
from bench.units import number

# From the application outwards; each with a shade and a hatch of its own.
_KINDS = (
    ("user", "#e69f00", ""),
    ("system", "#56b4e9", "///"),
    ("softirq", "#0072b2", "..."),
    ("irq", "#4d4d4d", ""),
)
_WIDTH = 0.7


def costs(summary: Summary, uses: Sequence[CpuUse], workload: str, metric: Metric) -> Figure | None:
    """A panel for each placement; None where no placement has two values to compare.

    ``metric`` is the cost of the workload: a bar is as high as its median and divided as the CPU
    time of both ends together was, over all of the cell's trials.
    """
    panels = {
        placement: rows
        for placement in summary.placements
        if (rows := drivers_only(summary.rows(workload, placement, metric)))
    }
    spent = _spent(uses)
    known = [
        row
        for rows in panels.values()
        for row in rows
        if row.median is not None and row.cell in spent
    ]
    if not known or not any(comparable(rows) for rows in panels.values()):
        return None
    chart = figure(max(6.4, 1.0 + 1.3 * sum(map(len, panels.values()))), 4.4)
    all_axes = chart.subplots(
        1, len(panels), squeeze=False, width_ratios=[len(rows) for rows in panels.values()]
    )[0]
    for axes, (placement, rows) in zip(all_axes, panels.items(), strict=True):
        _panel(axes, rows, spent)
        panel_title(axes, placement.value)
        value_label(axes, f"{metric.title} ({metric.unit})")
    handles, labels = all_axes[0].get_legend_handles_labels()
    chart.legend(handles, labels, loc="outside right upper", fontsize=9)
    title(chart, f"{metric.title} by kind ({workload})")
    footer(
        chart,
        summary,
        "Bars: median of both ends' hosts together, lower is better, divided as all trials' CPU "
        "time was; whiskers: 95 % interval. Each panel has its own scale.",
    )
    return chart


def _spent(uses: Sequence[CpuUse]) -> dict[Cell, dict[str, float]]:
    """By cell, the share of each kind in the CPU time of all of its ends."""
    found: dict[Cell, list[Kinds]] = {}
    for use in uses:
        found.setdefault(use.cell, []).append(use.spent)
    shares = {}
    for cell, every in found.items():
        whole = sum(kinds.busy for kinds in every)
        if whole > 0:
            shares[cell] = {
                name: sum(float(getattr(kinds, name)) for kinds in every) / whole
                for name, *_ in _KINDS
            }
    return shares


def _panel(
    axes: Axes, rows: Sequence[CellSummary], spent: Mapping[Cell, Mapping[str, float]]
) -> None:
    axes.grid(visible=False, axis="x")
    top = max([bound for row in rows for bound in (row.median or 0.0, *(row.ci or ()))]) or 1.0
    for place, row in enumerate(rows):
        if row.median is None or row.cell not in spent:
            absent(axes, place, top, absence(row) if row.median is None else "kinds not read")
            continue
        bottom = 0.0
        for name, color, hatch in _KINDS:
            height = row.median * spent[row.cell][name]
            axes.bar(
                *(place, height, _WIDTH),
                bottom=bottom,
                color=color,
                hatch=hatch,
                edgecolor="white",
                linewidth=0.5,
                label=name if place == _first(rows, spent) else None,
            )
            bottom += height
        if row.ci is not None:
            reach = [[max(0.0, row.median - row.ci[0])], [max(0.0, row.ci[1] - row.median)]]
            axes.errorbar(place, row.median, yerr=reach, color=INK, capsize=5, linewidth=1.4)
        axes.annotate(
            *(number(row.median), (place, max(row.median, *(row.ci or (0.0,))))),
            xytext=(0, 5),
            textcoords="offset points",
            ha="center",
            fontweight="bold",
            fontsize=9,
        )
    axes.set_ylim(0, top * 1.16)
    axes.set_xlim(-0.6, len(rows) - 0.4)
    axes.set_xticks(range(len(rows)), [treatment(row.cell, "\n") for row in rows], fontsize=9)
    axes.tick_params(axis="x", length=0)


def _first(rows: Sequence[CellSummary], spent: Mapping[Cell, Mapping[str, float]]) -> int:
    """The first bar that is drawn: the one that the legend is of."""
    return next(
        place for place, row in enumerate(rows) if row.median is not None and row.cell in spent
    )
