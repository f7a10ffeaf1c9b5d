"""Loss against the rate that was sent: every step of every search, and the rate that was found."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from bench.analysis.display import absence, scale_for, treatment
from bench.analysis.search import Search
from bench.analysis.summary import CellSummary, Summary
from bench.charts.style import FAINT, Look, drivers_only, figure, footer, looks, panel_title, title
from bench.model import Cell, Placement
from bench.units import Scale
from bench.workloads.udp_stream import GOODPUT, TOLERATED

# Below this share of loss (per cent) the axis is even, so that nothing at all has a place on it.
_EVEN = 0.05
_TICKS = (0.0, 0.1, TOLERATED, 1.0, 5.0, 10.0, 50.0, 100.0)


def losses(summary: Summary, workload: str) -> Figure | None:
    """A panel for each placement in which two treatments were searched; None without one."""
    panels: dict[Placement, list[Search]] = {}
    for one in summary.searches:
        if one.cell.workload == workload and not one.cell.aa:
            panels.setdefault(one.cell.placement, []).append(one)
    panels = {placement: found for placement, found in panels.items() if len(found) > 1}
    if not panels:
        return None
    chart = figure(1.6 + 4.6 * max(1.3, len(panels)), 4.6)
    all_axes = chart.subplots(1, len(panels), squeeze=False, sharey=True)[0]
    everything = [step.offered for found in panels.values() for one in found for step in one.steps]
    scale = scale_for("bit/s", everything)
    look = looks(summary)
    for axes, (placement, found) in zip(all_axes, panels.items(), strict=True):
        rows = drivers_only(summary.rows(workload, placement, GOODPUT))
        _panel(axes, found, rows, scale, look)
        _legend(axes, rows, {one.cell for one in found}, look)
        panel_title(axes, placement.value)
        axes.set_xlabel(f"sent ({scale.unit}), log scale")
        axes.tick_params(labelleft=True)
    all_axes[0].set_ylabel("packets lost (%)")
    title(chart, f"Loss against rate ({workload})")
    footer(
        chart,
        summary,
        "Each small mark is one step of a search, a faint one sent without pace. Large marks on "
        f"the line of {TOLERATED} % are the median rates found there, with their 95 % intervals.",
    )
    return chart


def _panel(
    axes: Axes,
    found: Sequence[Search],
    rows: Sequence[CellSummary],
    scale: Scale,
    look: dict[Cell, Look],
) -> None:
    axes.set_xscale("log")
    axes.set_yscale("symlog", linthresh=_EVEN)
    axes.axhline(TOLERATED, color=FAINT, linewidth=1, linestyle=(0, (4, 3)), zorder=1)
    for one in found:
        style = look[one.cell]
        for paced, opacity in ((True, 0.75), (False, 0.25)):
            steps = [step for step in one.steps if step.paced == paced]
            axes.plot(
                [scale.apply(step.offered) for step in steps],
                [100 * step.loss for step in steps],
                color=style.color,
                marker=style.marker,
                markersize=4.5,
                markeredgewidth=0,
                linestyle="none",
                alpha=opacity,
                zorder=2,
                # What lost nothing lies on the edge.
                clip_on=False,
            )
    for row in rows:
        if row.median is not None and row.cell in look:
            low, high = row.ci or (row.median, row.median)
            axes.errorbar(
                scale.apply(row.median),
                TOLERATED,
                xerr=[
                    [scale.apply(row.median) - scale.apply(low)],
                    [scale.apply(high) - scale.apply(row.median)],
                ],
                color=look[row.cell].color,
                marker=look[row.cell].marker,
                markersize=9,
                markeredgecolor="white",
                capsize=4,
                zorder=3,
            )
    axes.set_ylim(0, 100)
    axes.set_yticks(_TICKS, [f"{tick:g}" for tick in _TICKS])
    axes.yaxis.set_minor_locator(LogLocator(subs=(), numticks=20))
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0), numticks=20))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.xaxis.set_minor_locator(LogLocator(subs=(), numticks=20))


def _legend(
    axes: Axes, rows: Sequence[CellSummary], drawn: set[Cell], look: dict[Cell, Look]
) -> None:
    handles = []
    for row in rows:
        style, text = look[row.cell], treatment(row.cell)
        if row.cell not in drawn:
            handles.append(Line2D([], [], linestyle="none", label=f"{text}: {absence(row)}"))
            continue
        handles.append(
            Line2D([], [], color=style.color, marker=style.marker, linestyle="none", label=text)
        )
    axes.legend(handles=handles, loc="upper left", fontsize=9)
