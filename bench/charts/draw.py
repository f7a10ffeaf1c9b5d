"""From a summary to files: which charts there are, what they are called, and writing them."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from bench import workloads
from bench.analysis.cpu import CpuUse
from bench.analysis.display import absence, scale_for, treatment
from bench.analysis.summary import Summary
from bench.charts.bars import bars
from bench.charts.cost import costs
from bench.charts.latency import latencies
from bench.charts.loss import losses
from bench.charts.ratio import ratios
from bench.charts.style import drivers_only, settings
from bench.charts.sweep import against, sweeps
from bench.errors import StoreError
from bench.model import Better, Metric

_DPI = 150


@dataclass(frozen=True, slots=True)
class Chart:
    """One chart in its two files. ``alt`` says in words what it shows."""

    title: str
    alt: str
    png: Path
    svg: Path


def draw(summary: Summary, folder: Path, uses: Sequence[CpuUse] = ()) -> tuple[Chart, ...]:
    """Draw what there is to compare into ``folder``, which is made; the ratios come first.

    ``uses`` is what the processors did, for the charts of it.

    Raises StoreError, naming the file, where it cannot be written.
    """
    charts = []
    with settings():
        for name, title, alt, figure in _figures(summary, uses):
            stem = re.sub(r"[^A-Za-z0-9.-]+", "-", name)
            chart = Chart(title, alt, folder / f"{stem}.png", folder / f"{stem}.svg")
            _save(figure, chart)
            charts.append(chart)
    return tuple(charts)


def _figures(summary: Summary, uses: Sequence[CpuUse]) -> Iterator[tuple[str, str, str, Figure]]:
    figure = ratios(summary)
    if figure is not None:
        yield "ratio-to-host", "Ratio to the host network", _ratio_alt(summary), figure
    for workload, metric in summary.headlines:
        if metric.better is Better.HIGHER:
            figure = bars(summary, workload, metric)
            if figure is not None:
                title = f"{metric.title} by driver and placement"
                yield f"{workload}-{metric.name}", title, _alt(summary, workload, metric), figure
    yield from _sweeps(summary)
    for workload, metric in _costs(summary):
        figure = costs(summary, uses, workload, metric)
        if figure is not None:
            title = f"{metric.title} by kind ({workload})"
            yield f"{workload}-{metric.name}", title, _alt(summary, workload, metric), figure
    yield from _losses(summary)
    for workload in dict.fromkeys(cell.workload for cell in summary.cells):
        figure = latencies(summary, workload)
        if figure is not None:
            title = f"Latency percentiles by driver ({workload})"
            yield f"{workload}-latency", title, _latency_alt(summary, workload), figure


def _sweeps(summary: Summary) -> Iterator[tuple[str, str, str, Figure]]:
    names = list(dict.fromkeys(cell.workload for cell in summary.cells))
    for sweep in sweeps(names):
        first = next(iter(sweep.names.values()))
        plain = {one.name: one for one in workloads.known()[sweep.family].metrics}
        for leading in (metric for workload, metric in summary.headlines if workload == first):
            metric = plain.get(leading.name, leading)
            figure = against(summary, sweep, metric)
            if figure is not None:
                by = sweep.parameter.name
                title = f"{metric.title} against {by} ({sweep.name})"
                alts = (_alt(summary, name, metric) for name in sweep.names.values())
                alt = "; ".join(
                    f"{by} {value}: {one}" for value, one in zip(sweep.names, alts, strict=True)
                )
                yield f"{sweep.name}-{metric.name}-by-{by}", title, alt, figure


def _costs(summary: Summary) -> Iterator[tuple[str, Metric]]:
    """The (workload, metric)s of CPU time a unit of work."""
    for workload, metric in dict.fromkeys((row.workload, row.metric) for row in summary.cells):
        if metric.name.startswith("cpu_per_"):
            yield workload, metric


def _losses(summary: Summary) -> Iterator[tuple[str, str, str, Figure]]:
    for workload in dict.fromkeys(one.cell.workload for one in summary.searches):
        figure = losses(summary, workload)
        if figure is not None:
            title = f"Loss against rate ({workload})"
            yield f"{workload}-loss", title, _loss_alt(summary, workload), figure


def _save(figure: Figure, chart: Chart) -> None:
    try:
        chart.png.parent.mkdir(parents=True, exist_ok=True)
        FigureCanvasAgg(figure)
        # Laid out once, for both: each would be drawn twice as long as it has an engine for that.
        engine = figure.get_layout_engine()
        if engine is not None:
            figure.set_dpi(_DPI)
            engine.execute(figure)
            figure.set_layout_engine(None)
        picture = io.BytesIO()
        figure.savefig(picture, format="png", dpi=_DPI, metadata={"Software": None})
        chart.png.write_bytes(picture.getvalue())
        picture = io.BytesIO()
        FigureCanvasSVG(figure)
        figure.savefig(picture, format="svg", metadata={"Date": None, "Creator": None})
        chart.svg.write_bytes(picture.getvalue())
    except OSError as fault:
        raise StoreError(
            f"{fault.filename or chart.png}: {fault.strerror}",
            "make room or name another folder with --out",
        ) from fault


def _alt(summary: Summary, workload: str, metric: Metric) -> str:
    """The medians that the bars show, in words."""
    said = []
    rows = [
        row
        for row in drivers_only(summary.cells)
        if (row.workload, row.metric) == (workload, metric)
    ]
    scale = scale_for(metric.unit, [row.median for row in rows])
    for row in rows:
        value = absence(row) if row.median is None else f"{scale.text(row.median)} {scale.unit}"
        said.append(f"{treatment(row.cell)} {row.placement} {value}")
    return f"Bar chart of {metric.title}, median: {'; '.join(said)}."


def _ratio_alt(summary: Summary) -> str:
    """What is compared; the numbers stand in the tables beside the chart, and would be too many."""
    compared = [
        cell
        for cell in drivers_only(summary.cells)
        if not cell.is_baseline and cell.ratio is not None
    ]
    drivers = ", ".join(dict.fromkeys(cell.driver for cell in compared))
    metrics = ", ".join(metric.title for _, metric in summary.headlines)
    spans = ", with 95 % intervals," if any(cell.ratio_ci for cell in compared) else ""
    return f"Ratio to the host network{spans} of {drivers}: {metrics}."


def _loss_alt(summary: Summary, workload: str) -> str:
    said = []
    for one in summary.searches:
        if one.cell.workload == workload and not one.cell.aa:
            tried = [step.offered for step in one.steps if step.paced]
            scale = scale_for("bit/s", tried)
            said.append(
                f"{treatment(one.cell)} {one.cell.placement} {len(tried)} rates from "
                f"{scale.text(min(tried))} to {scale.text(max(tried))} {scale.unit}"
            )
    return f"Share of packets lost at each rate that was tried: {'; '.join(said)}."


def _latency_alt(summary: Summary, workload: str) -> str:
    said = []
    for one in summary.latencies:
        if one.cell.workload == workload and not one.cell.aa:
            half, tail = one.percentiles[50.0], one.percentiles[99.0]
            scale = scale_for("s", [half])
            said.append(
                f"{treatment(one.cell)} {one.cell.placement} p50 {scale.text(half)} "
                f"{scale.unit}, p99 {scale.text(tail)} {scale.unit}"
            )
    return f"Latency by percentile: {'; '.join(said)}."
