"""What both pages say, as plain text: the templates only arrange it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from bench.analysis.display import absence, ratio_span, scale_for, shared_scales, treatment
from bench.analysis.latency import PERCENTILES
from bench.analysis.summary import CellSummary, Summary
from bench.model import HostFacts, Metric, Placement, RunEnd, RunInfo
from bench.report.words import compared, judgement, missing, printable, sentences, trust, unfinished
from bench.store import StoredRun
from bench.units import NOTHING, Scale, number


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table; ``kind`` is worse, better or empty; ``repeats`` the text before it."""

    cells: tuple[str, ...]
    kind: str = ""
    repeats: bool = False


@dataclass(frozen=True, slots=True)
class Grid:
    """A table; the first ``texts`` of its columns hold text, the others numbers."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    texts: int = 2


def content(run: StoredRun, summary: Summary) -> dict[str, Any]:
    """The variables of the templates, all text made printable."""
    info = run.info
    return {
        "run": printable(info.run),
        "created": printable(info.created),
        "lead": _lead(run),
        "notes": unfinished(run),
        "sentences": sentences(summary),
        "overview": list(_overview(summary)),
        "trust": trust(summary),
        "missing": missing(summary),
        "tables": [
            table
            for workload in dict.fromkeys(cell.workload for cell in summary.cells)
            for placement in summary.placements
            if (table := _cells(summary, workload, placement)).rows
        ],
        "latencies": [table for table in [_latencies(summary)] if table.rows],
        "method": _method(info, run.end),
        "hosts": _hosts(info.hosts),
        "tools": _tools(info),
        "networks": _networks(info),
    }


def _lead(run: StoredRun) -> str:
    plan = run.info.plan
    drivers = list(dict.fromkeys(cell.driver for cell in plan.cells))
    return (
        f"{_counted(len(drivers), 'Docker network driver')} ({printable(', '.join(drivers))}) on "
        f"{_counted(len(plan.hosts), 'host')}, {_counted(plan.blocks, 'block')} of "
        f"{_counted(len(plan.cells), 'cell')}, {plan.duration} s a trial after {plan.warmup} s of "
        f"warm-up; {len(run.trials)} of {len(plan.cells) * plan.blocks} trials carried out."
    )


def _overview(summary: Summary) -> Iterator[Grid]:
    """For each placement a table: a row a driver, a column a headline metric, ratios in it."""
    found: dict[Placement, dict[str, dict[Metric, str]]] = {}
    for _, metric, placement, rows in compared(summary):
        for row in rows:
            said = ratio_span(row.ratio, row.ratio_ci)
            if row.median is None:
                said = absence(row)
            elif judgement(row) in ("worse", "better"):
                said = f"{said} {judgement(row)}"
            drivers = found.setdefault(placement, {})
            drivers.setdefault(printable(treatment(row.cell)), {})[metric] = said
    for placement, drivers in found.items():
        metrics = dict.fromkeys(metric for said in drivers.values() for metric in said)
        yield Grid(
            f"Next to the host network, {placement}",
            ("Driver", *(f"{printable(one.title)} ({one.better} is better)" for one in metrics)),
            tuple(
                Row((driver, *(said.get(metric, NOTHING) for metric in metrics)))
                for driver, said in drivers.items()
            ),
            texts=1 + len(metrics),
        )


def _cells(summary: Summary, workload: str, placement: Placement) -> Grid:
    metrics = dict.fromkeys(cell.metric for cell in summary.cells if cell.workload == workload)
    groups = {metric: summary.rows(workload, placement, metric) for metric in metrics}
    scales = shared_scales(cell for group in groups.values() for cell in group)
    rows = [
        _row(cell, scales[metric.unit], repeats=place > 0)
        for metric, group in groups.items()
        for place, cell in enumerate(group)
    ]
    return Grid(
        f"{printable(workload)}, {placement}",
        (
            *("Metric", "Driver", "Median", "95 % interval", "IQR", "Ratio to host (95 %)"),
            *("Verdict", "Pairs", "Done", "Skipped", "Failed"),
        ),
        tuple(rows),
    )


def _row(cell: CellSummary, scale: Scale, *, repeats: bool) -> Row:
    judged = judgement(cell)
    ratio = "baseline" if cell.is_baseline else ratio_span(cell.ratio, cell.ratio_ci)
    return Row(
        (
            f"{printable(cell.metric.title)} ({scale.unit})",
            printable(treatment(cell.cell)),
            scale.text(cell.median),
            scale.span(cell.ci),
            scale.text(cell.iqr),
            ratio,
            judged,
            str(cell.pairs),
            *(str(count) for count in (cell.completed, cell.skipped, cell.failed)),
        ),
        kind=judged if judged in ("worse", "better") else "",
        repeats=repeats,
    )


def _latencies(summary: Summary) -> Grid:
    medians = [one.percentiles[50.0] for one in summary.latencies]
    scale = scale_for("s", medians)
    rows = [
        Row(
            (
                f"{printable(one.cell.workload)}, {one.cell.placement}",
                printable(treatment(one.cell)),
                f"{one.requests:,}",
                *(scale.text(one.percentiles[at]) for at in PERCENTILES),
            )
        )
        for one in summary.latencies
    ]
    return Grid(
        f"Latency of all requests of all trials together ({scale.unit})",
        ("Cell", "Driver", "Requests", *(f"p{at:g}" for at in PERCENTILES)),
        tuple(rows),
    )


def _method(info: RunInfo, end: RunEnd | None) -> list[tuple[str, str]]:
    plan = info.plan
    said = [
        ("netbench", printable(info.netbench)),
        ("Command", printable(" ".join(info.command))),
        ("Begun", printable(info.created)),
        ("Blocks", f"{plan.blocks}, each a pass over all cells in a new random order"),
        ("Seed of the order", str(plan.seed)),
        ("Trial", f"{plan.duration} s measured after {plan.warmup} s of warm-up, one at a time"),
    ]
    if end is not None:
        share = f", {100 * end.measuring / end.wall:.0f} % of it" if end.wall > 0 else ""
        said += [
            ("Outcome", printable(f"{end.outcome}. {end.message}" if end.message else end.outcome)),
            ("Wall time", _time(end.wall)),
            ("Tools ran for", f"{_time(end.measuring)}{share} (warm-up: {_time(end.warming)})"),
            ("Set-up and teardown", f"{_time(end.setup)} and {_time(end.teardown)}"),
            ("Left on the hosts", printable("; ".join(end.outstanding)) or "nothing"),
        ]
    return said


def _hosts(hosts: Sequence[HostFacts]) -> Grid:
    return Grid(
        "Hosts",
        (
            *("Host", "System", "Kernel", "Docker", "Storage", "CPU", "CPUs", "Memory"),
            *("Data network", "MTU"),
        ),
        tuple(
            Row(
                (
                    printable(host.name),
                    printable(host.os),
                    printable(f"{host.kernel} {host.architecture}"),
                    printable(host.engine),
                    printable(host.storage_driver) or NOTHING,
                    printable(host.cpu_model) or NOTHING,
                    str(host.cpus),
                    f"{number(host.memory / 2**30)} GiB",
                    printable(f"{host.data_address} ({host.data_interface})"),
                    str(host.data_mtu),
                )
            )
            for host in hosts
        ),
        texts=6,
    )


def _tools(info: RunInfo) -> list[tuple[str, str]]:
    image = info.image
    return [
        ("Image", printable(image.reference)),
        ("Image id", printable(image.image_id)),
        *((printable(tool), printable(version)) for tool, version in image.tools.items()),
    ]


def _networks(info: RunInfo) -> list[tuple[str, str]]:
    return [
        (printable(name), printable(", ".join(f"{key}: {value}" for key, value in facts.items())))
        for name, facts in info.networks.items()
    ]


def _time(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
