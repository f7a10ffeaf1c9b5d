"""``netbench path``: what a packet crosses from client to server, and what that costs."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench.cli._stored import newest
from bench.cli._types import Names
from bench.errors import UsageError

if TYPE_CHECKING:
    from bench.store import StoredRun


@click.command("path")
@click.argument("run", type=click.Path(path_type=Path), required=False)
@click.option(
    "-i",
    "--inventory",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Build the networks on these hosts now, find the paths, and take all down again.",
)
@click.option("--drivers", type=Names(), default=(), help="These drivers only.")
@click.option("--access", type=Names(), default=(), help="These accesses only.")
@click.option(
    "--placements", type=Names(), default=(), help="same-host, cross-host; both by default."
)
def command(
    run: Path | None,
    *,
    inventory: Path | None,
    drivers: tuple[str, ...],
    access: tuple[str, ...],
    placements: tuple[str, ...],
) -> int:
    """Draw the paths of a stored run, with what each thing on them costs; or, with -i, those of an
    inventory's hosts as they are now.

    RUN is a run's folder, or a folder of runs, of which the newest is taken (default: results).
    With -i nothing is measured and nothing stays on the hosts. Costs are the differences between
    treatments of one run: the more of them it has, the more can be told apart (docs/paths.md).
    """
    if run is not None and inventory is not None:
        raise UsageError("a stored run and -i are two things", "give one of them")
    if inventory is None:
        from bench.store import load

        _draw(load(newest(run or Path("results"))), (drivers, access, placements))
        return 0
    return _live(inventory, drivers, access, placements)


def _draw(run: StoredRun, wanted: tuple[tuple[str, ...], ...]) -> None:
    from bench.analysis.summary import summarise
    from bench.report import as_text, drawings

    if not run.info.pictures:
        raise UsageError(
            f"{run.path}: this run holds no pictures of its paths",
            "it ended before they were found, or an older netbench made it: see -i",
        )
    shown = tuple(
        one
        for one in run.info.pictures
        if all(
            not names or said in names
            for names, said in zip(wanted, (one.driver, one.access, one.placement), strict=True)
        )
    )
    if not shown:
        treatments = dict.fromkeys(f"{one.driver}/{one.access}" for one in run.info.pictures)
        raise UsageError("the run has no such path", f"it has {', '.join(treatments)}")
    for place, drawing in enumerate(drawings(run, summarise(run), shown)):
        click.echo(f"{chr(10) if place else ''}{as_text(drawing)}")


def _live(
    inventory: Path, drivers: tuple[str, ...], access: tuple[str, ...], placements: tuple[str, ...]
) -> int:
    from rich.console import Console

    from bench import workloads
    from bench.cli._choices import choices
    from bench.cli._progress import progress_for
    from bench.remote.fleet import connect
    from bench.runner import Request, execute
    from bench.store import load

    # All workloads take the same path: one stands for them.
    chosen = choices(
        inventory=inventory,
        drivers=drivers,
        access=access,
        profile=None,
        workloads=(next(iter(workloads.known())),),
        streams=(),
        placements=placements,
        blocks=None,
        target=None,
        budget=None,
        min_blocks=None,
        aa=False,
        duration=1,
        warmup=0,
        pin="off",
        mtu="auto",
        seed=0,
    )
    with tempfile.TemporaryDirectory(prefix="netbench-path-") as folder:
        request = Request(
            inventory=chosen.inventory,
            plan=chosen.plan,
            out=Path(folder),
            name="path",
            command=("netbench", *sys.argv[1:]),
            measures=False,
        )
        with progress_for(Console(stderr=True)) as progress:
            outcome = execute(request, lambda: connect(chosen.inventory.hosts), progress)
        stored = load(outcome.path)
        if stored.info.pictures:
            _draw(stored, ((), (), ()))
    end = outcome.end
    for line in end.outstanding:
        click.echo(f"left on the hosts: {line}", err=True)
    if end.outcome == "finished" and not end.outstanding:
        return 0
    told = "not all was removed: run `netbench clean` with the same inventory"
    if end.outcome != "finished":
        told = f"{end.outcome}: {end.message}"
    click.echo(f"netbench: {told}", err=True)
    return 130 if end.outcome == "interrupted" else 1
