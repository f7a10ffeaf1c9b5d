"""``netbench run``: measure, report, and leave the hosts as they were."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bench.cli._choices import choices, choosing

if TYPE_CHECKING:
    from bench.runner import Outcome


@click.command(name="run")
@choosing
@click.option(
    "--note",
    default="",
    metavar="TEXT",
    help="What is special about this run, in a line: stored with it, and shown by `netbench asv`.",
)
def command(*, out: Path, name: str | None, image: str | None, note: str, **options: Any) -> None:
    """Measure every cell once per block and store each trial as it ends; then print the table and
    write the report. The blocks are a fixed number, or with --target and --budget as many as it
    takes.

    Networks, services and a swarm that the run creates are removed however it ends; what was
    measured stays. Exit code 0 when the run went to its end and nothing is left on the hosts, 1
    when not, 2 for usage, 130 when interrupted.
    """
    from rich.console import Console

    from bench.checkout import checkout_of
    from bench.cli._progress import progress_for
    from bench.remote.fleet import connect
    from bench.runner import Request, execute

    chosen = choices(**options)
    request = Request(
        inventory=chosen.inventory,
        plan=chosen.plan,
        out=out,
        name=name,
        image=image,
        command=("netbench", *sys.argv[1:]),
        note=" ".join(note.split()),
        checkout=checkout_of(chosen.inventory.path),
    )
    with progress_for(Console(stderr=True)) as progress:
        outcome = execute(request, lambda: connect(chosen.inventory.hosts), progress)
    sys.exit(_closing(outcome))


def _closing(outcome: Outcome) -> int:
    """Report, then say on the last line what happened; returns the exit code."""
    from bench.model import Status

    end, counts = outcome.end, outcome.counts
    good = end.outcome == "finished" and not end.outstanding and counts[Status.COMPLETED] > 0
    if counts[Status.COMPLETED]:
        good = _report(outcome.path) and good
    for line in end.outstanding:
        click.echo(f"left on the hosts: {line}", err=True)
    click.echo(
        f"tools ran {end.measuring / end.wall:.0%} of {end.wall:.0f} s "
        f"({(end.measuring - end.warming) / end.wall:.0%} measuring, "
        f"{end.warming / end.wall:.0%} warming up); "
        f"set-up {end.setup:.1f} s, teardown {end.teardown:.1f} s"
    )
    told = end.message and end.outcome != "interrupted"
    parts = [f"{end.outcome}: {end.message}" if told else end.outcome]
    parts.append(", ".join(f"{number} {how}" for how, number in counts.items() if number))
    parts[-1] = parts[-1] or "no trial ran"
    parts.append(f"stored in {outcome.path}")
    if end.outstanding:
        parts.append("not all was removed: run `netbench clean` with the same inventory")
    click.echo(f"netbench: {'; '.join(parts)}", err=not good)
    if end.outcome == "interrupted":
        return 130
    return 0 if good else 1


def _report(path: Path) -> bool:
    """Print the table and write the report; False, having said why, where that cannot be."""
    from bench.analysis.flags import find
    from bench.analysis.summary import summarise
    from bench.errors import StoreError
    from bench.report import console, render_table, write_report
    from bench.store import load

    try:
        run = load(path)
        summary = summarise(run)
        flags = find(run, summary)
        console().print(render_table(summary, flags))
        click.echo(f"report: {write_report(run, summary=summary, flags=flags).html}")
    except StoreError as fault:
        click.echo(f"netbench: no report: {fault}", err=True)
        return False
    return True
