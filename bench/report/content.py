"""What both pages say, as plain text: the templates only arrange it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from bench.analysis.cpu import CpuUse, cpu_use
from bench.analysis.display import absence, ratio_span, scale_for, shared_scales, treatment
from bench.analysis.flags import Flag, Severity
from bench.analysis.latency import PERCENTILES
from bench.analysis.load import BUSY
from bench.analysis.summary import CellSummary, Summary
from bench.analysis.verdict import Kind as Judged
from bench.model import Metric, Placement
from bench.report import setup, ways
from bench.report.grid import Grid, Row
from bench.report.words import (
    believable,
    compared,
    counted,
    missing,
    printable,
    sentences,
    trust,
    unfinished,
    verdict,
)
from bench.store import StoredRun
from bench.units import DASH, NOTHING, Scale

_MARKED = (Judged.WORSE, Judged.BETTER)


def content(run: StoredRun, summary: Summary, flags: Sequence[Flag]) -> dict[str, Any]:
    """The variables of the templates, all text made printable."""
    info = run.info
    return {
        "run": printable(info.run),
        "created": printable(info.created),
        "lead": _lead(run, summary),
        "notes": unfinished(run),
        "sentences": sentences(summary),
        "overview": list(_overview(summary)),
        "trust": trust(summary),
        "believable": believable(summary),
        "flags": [table for table in [_flags(flags)] if table.rows],
        "missing": missing(summary),
        "tables": [
            table
            for workload in dict.fromkeys(cell.workload for cell in summary.cells)
            for placement in summary.placements
            if (table := _cells(summary, workload, placement)).rows
        ],
        "latencies": [table for table in [_latencies(summary)] if table.rows],
        "cpu": [table for table in [_cpu(cpu_use(run))] if table.rows],
        "paths": [table for table in (ways.attested(run), ways.paths(info.paths)) if table.rows],
        "method": setup.method(info, run.end, summary),
        "hosts": setup.hosts(info.hosts),
        "tools": setup.tools(info),
        "networks": setup.networks(info),
    }


def _lead(run: StoredRun, summary: Summary) -> str:
    plan = run.info.plan
    drivers = list(dict.fromkeys(cell.driver for cell in plan.cells))
    adaptive = plan.stopping is not None
    blocks = summary.blocks if adaptive else plan.blocks
    of = "" if adaptive else f" of {len(plan.cells) * plan.blocks}"
    return (
        f"{counted(len(drivers), 'Docker network driver')} ({printable(', '.join(drivers))}) on "
        f"{counted(len(plan.hosts), 'host')}, {counted(blocks, 'block')} of "
        f"{counted(len(plan.cells), 'cell')}, {plan.duration} s a trial after {plan.warmup} s of "
        f"warm-up; {len(run.trials)}{of} trials carried out."
    )


def _overview(summary: Summary) -> Iterator[Grid]:
    """For each placement a table: a row a driver, a column a headline metric, verdicts in it."""
    found: dict[Placement, dict[str, dict[Metric, str]]] = {}
    for _, metric, placement, rows in compared(summary):
        for row in rows:
            said = absence(row) if row.median is None else ratio_span(row.ratio, None)
            if row.ratio is not None and row.verdict.words:
                said = f"{said}, {verdict(row)}"
            drivers = found.setdefault(placement, {})
            drivers.setdefault(printable(treatment(row.cell)), {})[metric] = said
    for placement, drivers in found.items():
        metrics = dict.fromkeys(metric for said in drivers.values() for metric in said)
        titles = tuple(f"{printable(one.title)} ({one.better} is better)" for one in metrics)
        yield Grid(
            f"Next to the host network, {placement}",
            ("Driver", *titles),
            tuple(
                Row((driver, *(said.get(metric, NOTHING) for metric in metrics)))
                for driver, said in drivers.items()
            ),
            texts=1 + len(metrics),
            wide=titles,
        )


def _flags(flags: Sequence[Flag]) -> Grid:
    rows = [
        (
            *(printable(flag.title), flag.severity.value),
            *(printable(flag.subject), printable(flag.evidence)),
        )
        for flag in flags
    ]
    return Grid(
        "What was noticed",
        ("What", "Severity", "Where", "Evidence"),
        tuple(
            Row(row, _alarm(flag), repeats=place > 0 and rows[place - 1][0] == row[0])
            for place, (row, flag) in enumerate(zip(rows, flags, strict=True))
        ),
        texts=4,
        wide=("What", "Evidence"),
    )


def _alarm(flag: Flag) -> str:
    return "alarm" if flag.severity is Severity.ALARM else ""


def _cells(summary: Summary, workload: str, placement: Placement) -> Grid:
    metrics = dict.fromkeys(cell.metric for cell in summary.cells if cell.workload == workload)
    groups = {metric: summary.rows(workload, placement, metric) for metric in metrics}
    scales = shared_scales(cell for group in groups.values() for cell in group)
    resting = any(cell.rested for cell in summary.cells)
    rows = [
        _row(cell, scales[metric.unit], repeats=place > 0, resting=resting)
        for metric, group in groups.items()
        for place, cell in enumerate(group)
    ]
    return Grid(
        f"{printable(workload)}, {placement}",
        (
            *("Metric", "Driver", "Ratio to host (95 %)", "Verdict", "Median", "95 % interval"),
            *("IQR", "Pairs", "Done", *(("At rest",) if resting else ()), "Skipped", "Failed"),
        ),
        tuple(rows),
        texts=4,
        wide=("Metric", "Verdict"),
    )


def _row(cell: CellSummary, scale: Scale, *, repeats: bool, resting: bool) -> Row:
    ratio = "baseline" if cell.is_baseline else ratio_span(cell.ratio, cell.ratio_ci)
    judged = "" if cell.is_baseline else cell.verdict.words
    if cell.median is None:
        judged = absence(cell)
    counts = (cell.completed, *((cell.rested,) if resting else ()), cell.skipped, cell.failed)
    return Row(
        (
            f"{printable(cell.metric.title)} ({scale.unit})",
            printable(treatment(cell.cell)),
            ratio,
            judged,
            scale.text(cell.median),
            scale.span(cell.ci),
            scale.text(cell.iqr),
            str(cell.pairs),
            *map(str, counts),
        ),
        kind=cell.verdict.kind.value if cell.verdict.kind in _MARKED else "",
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
        f"Latencies of all trials together ({scale.unit})",
        ("Cell", "Driver", "Requests", *(f"p{at:g}" for at in PERCENTILES)),
        tuple(rows),
    )


def _cpu(found: Sequence[CpuUse]) -> Grid:
    """The cores that each end kept busy, and what they did."""
    rows = []
    for one in found:
        taken = one.spent.busy + one.spent.steal
        shares = (getattr(one.spent, kind) / taken if taken else 0.0 for kind in BUSY)
        rows.append(
            (
                printable(f"{one.cell.workload}, {one.cell.placement}"),
                printable(treatment(one.cell)),
                one.end,
                f"{one.cores:.2f}",
                f"{one.low:.2f}{DASH}{one.high:.2f}",
                str(one.of),
                *(f"{100 * share:.0f} %" for share in shares),
                str(one.trials),
            )
        )
    rows.sort(key=lambda row: row[0])
    return Grid(
        "What it costs in CPU",
        (
            *("Cell", "Driver", "End", "Cores busy", "Quartiles", "Of", "User", "System"),
            *("Softirq", "Irq", "Steal", "Trials"),
        ),
        tuple(
            Row(row, repeats=place > 0 and rows[place - 1][0] == row[0])
            for place, row in enumerate(rows)
        ),
        texts=3,
        note=(
            "Busy cores of the whole host, kernel included, in the median trial; beside them what "
            "the time went to, in all trials. What a unit of work cost is among the results."
        ),
    )
