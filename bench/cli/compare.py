"""``netbench compare``: is this run worse than that one?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench.cli._judging import drivers_only_option, threshold_option
from bench.errors import StoreError, UsageError

if TYPE_CHECKING:
    from bench.analysis.change import Comparison
    from bench.store import StoredRun


@click.command("compare")
@click.argument("base", type=click.Path(path_type=Path))
@click.argument("new", type=click.Path(path_type=Path))
@threshold_option
@click.option(
    "--across", is_flag=True, help="Compare runs of different machines or settings all the same."
)
@click.option("--all-metrics", is_flag=True, help="Judge every metric, not the headlines alone.")
@drivers_only_option
@click.option("--json", "as_json", is_flag=True, help="Print the comparison for programs, only.")
def command(
    base: Path,
    new: Path,
    *,
    threshold: float,
    across: bool,
    all_metrics: bool,
    drivers_only: bool,
    as_json: bool,
) -> None:
    """Hold the stored run NEW against the stored run BASE, cell by cell.

    Drivers are judged by their ratio to host in the same blocks, host by its own values. Exit code
    0 when nothing is credibly worse by more than the threshold, 1 when something is, or newly
    failed or skipped, 2 when the runs cannot be compared or have too few blocks to judge anything.
    """
    from bench.analysis.compare import compare

    runs = _loaded(base), _loaded(new)
    _alike(runs, across=across)
    try:
        found = compare(*runs, threshold, every_metric=all_metrics, judge_baseline=not drivers_only)
    except StoreError as fault:
        raise UsageError(fault.what, fault.hint) from None
    code = 1 if found.regressions else 0 if found.judged else 2
    if as_json:
        from bench.analysis.export_change import as_json as for_programs

        click.echo(json.dumps(for_programs(found, code), indent=2, allow_nan=False))
    else:
        _show(found, runs, code)
    raise click.exceptions.Exit(code)


def _loaded(path: Path) -> StoredRun:
    """The run at ``path``. Raises UsageError where there is none that can be read: it was the user
    who named it."""
    from bench.store import load

    try:
        return load(path)
    except StoreError as fault:
        raise UsageError(fault.what, fault.hint) from None


def _alike(runs: tuple[StoredRun, StoredRun], *, across: bool) -> None:
    """Raise UsageError, having listed why, where the runs were made on or with other things."""
    from bench.analysis.likeness import differences
    from bench.report.comparison import listed

    base, new = (run.info for run in runs)
    if (base.run, base.created) == (new.run, new.created):
        click.echo(f"netbench: BASE and NEW are the same run, {base.run}", err=True)
    matter = tuple(one for one in differences(base, new) if one.matters)
    if not matter or across:
        return
    for line in listed(matter):
        click.echo(f"different: {line}", err=True)
    raise UsageError(
        f"{runs[0].path} and {runs[1].path} differ in {len(matter)} things that matter",
        "give --across to compare them all the same",
    )


def _show(found: Comparison, runs: tuple[StoredRun, StoredRun], code: int) -> None:
    from bench.report import console
    from bench.report.comparison import closing, render_comparison

    console().print(render_comparison(found, *runs))
    click.echo(f"netbench: {closing(found)}", err=code == 2)
