"""``netbench run``: measure, report, and leave the hosts as they were."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from bench.cli._choices import choices, choosing


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
    from bench.cli._closing import closing
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
    sys.exit(closing(outcome))
