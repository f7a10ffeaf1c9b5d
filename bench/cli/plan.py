"""``netbench plan``: what `run` would do, without doing it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from bench.cli._choices import choices, choosing


@click.command(name="plan")
@choosing
@click.option(
    "--like",
    type=click.Path(path_type=Path),
    metavar="RUN",
    help="An earlier run, by whose spread to say how many blocks each cell takes.",
)
def command(
    *, out: Path, name: str | None, image: str | None, like: Path | None, **options: Any
) -> None:
    """Print the matrix that `netbench run` would measure with the same options, how long it takes,
    and what a budget buys. Connects to nothing."""
    from rich.console import Console
    from rich.table import Table

    from bench import drivers, workloads
    from bench.cli._outlook import budget_lines, like_table
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
    cells: dict[tuple[str, str, int, Placement], list[str]] = {}
    for cell in plan.cells:
        key = (cell.workload, cell.driver, cell.aa, cell.placement)
        cells.setdefault(key, []).append(cell.access)
    rows = dict.fromkeys((cell.workload, cell.driver, cell.aa) for cell in plan.cells)
    for workload_name, driver, aa in rows:
        ways = [cells.get((workload_name, driver, aa, placement), []) for placement in placements]
        mark = " (A/A)" if aa else " (baseline)" if driver == drivers.BASELINE else ""
        table.add_row(workload_name, driver + mark, *(", ".join(way) or "-" for way in ways))
    console = Console(highlight=False, soft_wrap=True, markup=False)
    console.print(table)
    console.print()
    for name in dict.fromkeys(cell.workload for cell in plan.cells):
        workload = workloads.named(name)
        metrics = ", ".join(f"{metric.name} [{metric.unit}]" for metric in workload.metrics)
        more = workload.span(plan.duration, plan.warmup).wall - plan.duration - plan.warmup
        longer = f"; each trial takes {more:g} s longer" if more else ""
        console.print(f"{name}: {workload.title}: {metrics}{longer}")
    owners = [
        driver.name
        for driver in drivers.chosen(tuple({cell.driver for cell in plan.cells}))
        if driver.takes_parent
    ]
    if len(owners) > 1:
        console.print(
            f"only one of {', '.join(sorted(owners))} can have the parent interface: "
            "the others will be skipped"
        )
    console.print(
        "blocks take turns over: "
        + ", ".join(f"{pair.client} -> {pair.server}" for pair in pairs(plan))
    )
    trials = f"of {plan.duration} s after {plan.warmup} s of warm-up, seed {plan.seed}"
    number = len(plan.cells)
    if plan.stopping is None:
        console.print(
            f"{number} cells x {plan.blocks} blocks = {number * plan.blocks} trials {trials}"
        )
        console.print(f"about {estimate(plan) / 60:.1f} min, set-up and teardown included")
    else:
        console.print(f"{number} cells a block at most, trials {trials}")
    for line in budget_lines(plan):
        console.print(line)
    if like is not None:
        from bench.report import console as wide

        console.print()
        wide().print(like_table(plan, like))
