"""``netbench plan``: what `run` would do, without doing it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from bench.cli._choices import choices, choosing


@click.command(name="plan")
@choosing
def command(*, out: Path, name: str | None, image: str | None, **options: Any) -> None:
    """Print the matrix that `netbench run` would measure with the same options, and how long it
    takes. Connects to nothing."""
    from rich.console import Console
    from rich.table import Table

    from bench import drivers, workloads
    from bench.model import Placement
    from bench.plan import estimate, pairs

    # What only `run` acts on is taken too: a command line can be tried out by changing its verb.
    del out, name, image
    plan = choices(**options).plan
    table = Table(box=None, pad_edge=False, header_style="bold")
    placements = [
        placement for placement in Placement if placement in {c.placement for c in plan.cells}
    ]
    table.add_column("workload")
    table.add_column("driver")
    for placement in placements:
        table.add_column(f"{placement} (access)")
    cells = {(cell.workload, cell.driver, cell.placement): cell for cell in plan.cells}
    rows = dict.fromkeys((cell.workload, cell.driver) for cell in plan.cells)
    for name, driver in rows:
        ways = [cells.get((name, driver, placement)) for placement in placements]
        baseline = " (baseline)" if driver == drivers.BASELINE else ""
        table.add_row(name, driver + baseline, *(way.access if way else "-" for way in ways))
    console = Console(highlight=False, soft_wrap=True)
    console.print(table)
    console.print()
    for name in dict.fromkeys(cell.workload for cell in plan.cells):
        workload = workloads.known()[name]
        metrics = ", ".join(f"{metric.name} [{metric.unit}]" for metric in workload.metrics)
        console.print(f"{name}: {workload.title}: {metrics}")
    console.print(
        "blocks take turns over: "
        + ", ".join(f"{pair.client} -> {pair.server}" for pair in pairs(plan))
    )
    console.print(
        f"{len(plan.cells)} cells x {plan.blocks} blocks = {len(plan.cells) * plan.blocks} trials "
        f"of {plan.duration} s after {plan.warmup} s of warm-up, seed {plan.seed}"
    )
    console.print(f"about {estimate(plan) / 60:.1f} min, set-up and teardown included")
