"""Latency percentiles by driver, of all trials together: merged histograms."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from bench.analysis.display import absence, scale_for, treatment
from bench.analysis.latency import Latency
from bench.analysis.summary import CellSummary, Summary
from bench.charts.style import Look, drivers_only, figure, footer, looks, panel_title, title
from bench.model import Cell, Placement
from bench.units import Scale

_TICKS = (50.0, 90.0, 99.0, 99.9, 99.99, 99.999)


def latencies(summary: Summary, workload: str) -> Figure | None:
    """A panel for each placement with two curves or more; None where there is none."""
    panels: dict[Placement, list[Latency]] = {}
    for one in summary.latencies:
        if one.cell.workload == workload and len(one.curve) > 1 and not one.cell.aa:
            panels.setdefault(one.cell.placement, []).append(one)
    panels = {placement: curves for placement, curves in panels.items() if len(curves) > 1}
    if not panels:
        return None
    chart = figure(1.6 + 4.2 * max(1.3, len(panels)), 4.6)
    all_axes = chart.subplots(1, len(panels), squeeze=False, sharey=True)[0]
    everything = [one for curves in panels.values() for one in curves]
    scale = scale_for("s", [one.percentiles[50.0] for one in everything])
    look = looks(summary)
    for axes, (placement, curves) in zip(all_axes, panels.items(), strict=True):
        _panel(axes, curves, scale, look)
        _legend(axes, _measured(summary, workload, placement), curves, look)
        panel_title(axes, placement.value)
        axes.set_xlabel("percentile of requests (%)")
        axes.tick_params(labelleft=True)
    all_axes[0].set_ylabel(f"latency ({scale.unit}), log scale")
    title(chart, f"Latency percentiles by driver ({workload})")
    footer(
        chart,
        summary,
        "Lower is better. All latencies of all completed trials in one histogram a line; "
        "a line ends where fewer than ten requests are slower. Bars: 95 % intervals over trials.",
    )
    return chart


def _panel(axes: Axes, curves: Sequence[Latency], scale: Scale, look: dict[Cell, Look]) -> None:
    furthest = 0.0
    for one in curves:
        style = look[one.cell]
        at, values = zip(*one.curve, strict=True)
        axes.plot(
            *([_position(percentile) for percentile in at], [scale.apply(v) for v in values]),
            color=style.color,
            linestyle=style.line,
            linewidth=1.8,
        )
        marked = [(p, v) for p, v in one.percentiles.items() if v is not None]
        axes.plot(
            *([_position(p) for p, _ in marked], [scale.apply(v) for _, v in marked]),
            color=style.color,
            marker=style.marker,
            markersize=6,
            markeredgecolor="white",
            linestyle="none",
            zorder=3,
        )
        for p, (low, high) in one.intervals.items():
            if (value := one.percentiles[p]) is not None:
                # Merged and drawn from the same counts, yet rounded apart.
                reach = [[max(0.0, value - low)], [max(0.0, high - value)]]
                axes.errorbar(
                    *(_position(p), scale.apply(value)),
                    yerr=[[scale.apply(part[0])] for part in reach],
                    color=style.color,
                    linewidth=1.2,
                    capsize=3,
                )
        furthest = max(furthest, _position(at[-1]))
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0), numticks=20))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.yaxis.set_minor_locator(LogLocator(subs=(), numticks=20))
    shown = [tick for tick in _TICKS if _position(tick) <= furthest + 1e-9]
    axes.set_xticks([_position(tick) for tick in shown], [f"{tick:g}" for tick in shown])
    axes.set_xlim(0, furthest * 1.03)


def _legend(
    axes: Axes, rows: Sequence[CellSummary], curves: Sequence[Latency], look: dict[Cell, Look]
) -> None:
    drawn = {one.cell for one in curves}
    handles = []
    for row in rows:
        style, text = look[row.cell], treatment(row.cell)
        if row.cell in drawn:
            handles.append(
                Line2D(
                    *([], []),
                    color=style.color,
                    linestyle=style.line,
                    marker=style.marker,
                    markeredgecolor="white",
                    linewidth=1.8,
                    label=text,
                )
            )
        else:
            handles.append(Line2D([], [], linestyle="none", label=f"{text}: {absence(row)}"))
    axes.legend(handles=handles, loc="upper left", handlelength=3.5, fontsize=9)


def _measured(summary: Summary, workload: str, placement: Placement) -> tuple[CellSummary, ...]:
    """One entry for each cell of a panel, whichever its metric."""
    rows = {
        row.cell: row
        for row in drivers_only(summary.cells)
        if row.workload == workload and row.placement == placement
    }
    return tuple(rows.values())


def _position(percentile: float) -> float:
    """Where a percentile is on the axis: each further nine takes as much room as the one before."""
    return -math.log10(1 - percentile / 100)
