"""What is said at the end of what ran: the table, the report, and what became of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from bench.runner import Outcome


def closing(outcome: Outcome) -> int:
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
