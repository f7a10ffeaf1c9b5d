"""A metric against a parameter of its workload that the run has several values of: one line a
treatment, with intervals."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from bench import workloads
from bench.analysis.display import scale_for, treatment
from bench.analysis.summary import CellSummary, Summary
from bench.charts.style import (
    Look,
    drivers_only,
    figure,
    footer,
    looks,
    panel_title,
    title,
    value_label,
)
from bench.errors import UsageError
from bench.model import Better, Metric, Placement
from bench.units import Scale
from bench.workloads.base import Parameter

# A line needs as many values of the parameter.
FEWEST = 2
# How far the lines of a panel stand aside of each other, in doublings, for their whiskers.
_ASIDE = 0.06


@dataclass(frozen=True, slots=True)
class Sweep:
    """The workloads of a run that differ in one parameter alone: by its value, ascending."""

    family: str
    parameter: Parameter
    others: str
    names: Mapping[int, str]

    @property
    def name(self) -> str:
        """The workload's, without the parameter."""
        return ":".join(filter(None, (self.family, self.others)))


def sweeps(names: Sequence[str]) -> Iterator[Sweep]:
    """Every parameter with numbers for values of which these workloads have several.

    Workloads that this netbench does not know, of another version's run, have none.
    """
    found: dict[tuple[str, str, str], tuple[Parameter, dict[int, str]]] = {}
    for name in names:
        try:
            workload = workloads.named(name)
        except UsageError:
            continue
        for one in workload.parameters:
            value = workload.value(one.name)
            # Where a parameter leaves it to another, the workload is no point on its axis.
            if isinstance(value, int) and value != one.unset:
                rest = {key: other for key, other in workload.chosen.items() if key != one.name}
                others = ":".join(f"{key}={other}" for key, other in rest.items())
                key = (workload.family, one.name, others)
                found.setdefault(key, (one, {}))[1][value] = name
    for (family, _, others), (parameter, by_value) in found.items():
        if len(by_value) >= FEWEST:
            yield Sweep(family, parameter, others, dict(sorted(by_value.items())))


def against(summary: Summary, sweep: Sweep, metric: Metric) -> Figure | None:
    """A panel for each placement; None where no treatment has two values to draw a line between."""
    panels: dict[Placement, dict[str, dict[int, CellSummary]]] = {}
    for placement in summary.placements:
        lines: dict[str, dict[int, CellSummary]] = {}
        for value, name in sweep.names.items():
            own = _named(summary, name, metric)
            rows = summary.rows(name, placement, own) if own else ()
            for row in drivers_only(rows):
                if row.median is not None:
                    lines.setdefault(treatment(row.cell), {})[value] = row
        if any(len(points) >= FEWEST for points in lines.values()):
            panels[placement] = lines
    if not panels:
        return None
    every = [row for lines in panels.values() for line in lines.values() for row in line.values()]
    chart = figure(1.0 + 5.2 * len(panels), 4.4)
    scale, look = scale_for(metric.unit, [row.median for row in every]), looks(summary)
    all_axes = chart.subplots(1, len(panels), squeeze=False)[0]
    for axes, (placement, lines) in zip(all_axes, panels.items(), strict=True):
        for place, (label, points) in enumerate(lines.items()):
            aside = 2 ** (_ASIDE * (place - (len(lines) - 1) / 2))
            style = look[next(iter(points.values())).cell]
            _line(axes, [value * aside for value in points], list(points.values()), scale, style)
            axes.containers[-1].set_label(label)
        _values(axes, list(sweep.names))
        axes.set_xlabel(sweep.parameter.title)
        value_label(axes, f"{metric.title} ({scale.unit})")
        axes.margins(y=0.12)
        axes.set_ylim(bottom=0)
        panel_title(axes, placement.value)
        axes.legend(loc="best", handlelength=3.5, fontsize=9)
    title(chart, f"{metric.title} against {sweep.parameter.name} ({sweep.name})")
    way = "higher" if metric.better is Better.HIGHER else "lower"
    footer(chart, summary, f"Points: median, {way} is better; whiskers: 95 % interval.")
    return chart


def _named(summary: Summary, workload: str, metric: Metric) -> Metric | None:
    """The metric of that name, whose title says of which workload it is."""
    every = (row.metric for row in summary.cells if row.workload == workload)
    return next((one for one in every if one.name == metric.name), None)


def _line(
    axes: Axes, places: Sequence[float], rows: Sequence[CellSummary], scale: Scale, look: Look
) -> None:
    medians = [scale.apply(row.median or 0.0) for row in rows]
    reach: list[tuple[float, float]] = []
    for row, median in zip(rows, medians, strict=True):
        low, high = row.ci or (row.median or 0.0, row.median or 0.0)
        reach.append((max(0.0, median - scale.apply(low)), max(0.0, scale.apply(high) - median)))
    axes.errorbar(
        *(places, medians),
        yerr=[[low for low, _ in reach], [high for _, high in reach]],
        color=look.color,
        linestyle=look.line,
        marker=look.marker,
        markersize=7,
        markeredgecolor="white",
        linewidth=1.8,
        capsize=4,
    )


def _values(axes: Axes, values: Sequence[int]) -> None:
    """The values themselves on an axis by doublings, which has no place for a zero."""
    if 0 in values:
        axes.set_xscale("symlog", base=2, linthresh=1)
    else:
        axes.set_xscale("log", base=2)
    axes.set_xticks(values, [str(value) for value in values])
    axes.xaxis.set_minor_locator(NullLocator())
