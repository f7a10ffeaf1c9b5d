"""``netbench asv``: many runs over time, for asv (airspeed velocity) and for a pipeline."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from bench.cli._judging import drivers_only_option, threshold_option
from bench.errors import UsageError

if TYPE_CHECKING:
    from bench.history.sequence import Measured

F = TypeVar("F", bound=Callable[..., Any])

WINDOW = 30
DEFAULT = (Path("results"),)


@click.group("asv")
def command() -> None:
    """Runs over time: an export for asv's pages and commands, and a gate.

    RUNS are runs' folders, or folders of runs (default: results).
    """


def _reading(function: F) -> F:
    """Which runs to read, and what to do about those that cannot be."""
    for decorate in (
        click.option("--strict", is_flag=True, help="Exit with 1 where a run could not be read."),
        click.argument("folders", metavar="[RUNS]...", nargs=-1, type=click.Path(path_type=Path)),
    ):
        function = decorate(function)
    return function


@command.command("export")
@_reading
@click.option(
    "--into",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("results/asv"),
    show_default=True,
    help="The folder for asv. What an export before has written there is replaced.",
)
@click.option(
    "--commit-from",
    metavar="PATH",
    type=click.Path(path_type=Path, file_okay=False),
    help="Your own git repository, of inventories and roles: each run goes on the commit of it "
    "that was checked out then, instead of one made for it.",
)
@click.option("--all-metrics", is_flag=True, help="Write every metric, not the headlines alone.")
def export_command(
    folders: tuple[Path, ...],
    *,
    strict: bool,
    into: Path,
    commit_from: Path | None,
    all_metrics: bool,
) -> None:
    """Write all that asv needs to publish and compare these runs.

    Results, benchmarks, machines, and a git repository with one commit per run: the same runs give
    the same hashes, in whatever order they were added. A run that cannot be read is named and left
    out. Exit code 0, 1 where that was so and --strict is given or it cannot be written, 2 for
    usage.
    """
    from bench.history.export import export
    from bench.history.sequence import read_heads, runs_at

    past = read_heads(runs_at(folders or DEFAULT))
    done = export(past.runs, into, commit_from, every_metric=all_metrics)
    left_out = (*past.left_out, *done.left_out)
    _tell(left_out, past.twice)
    click.echo(
        f"{done.runs} runs of {len(done.machines)} "
        f"{'machine' if len(done.machines) == 1 else 'machines'}, {done.benchmarks} benchmarks"
    )
    for name in done.machines:
        click.echo(f"machine: {name}")
    click.echo(f"now: asv --config {done.config} publish")
    raise click.exceptions.Exit(int(strict and bool(left_out)))


@command.command("gate")
@_reading
@click.option(
    "--window",
    type=click.IntRange(6, 10_000),
    default=WINDOW,
    show_default=True,
    help="How many runs to look at, the newest last.",
)
@threshold_option
@click.option("--machine", metavar="NAME", help="Whose runs; by default the newest run's hosts.")
@drivers_only_option
@click.option("--json", "as_json", is_flag=True, help="Print the verdict for programs, only.")
def gate_command(
    folders: tuple[Path, ...],
    *,
    strict: bool,
    window: int,
    threshold: float,
    machine: str | None,
    drivers_only: bool,
    as_json: bool,
) -> None:
    """Are the newest runs worse than the ones before them?

    Says which cell, since which run, by how much, and what was new then. Exit code 0 when nothing
    is credibly worse by more than the threshold, 1 when something is or a cell newly failed, 2
    when nothing could be judged: it takes six runs. docs/regressions.md has the rule and its
    error rates.
    """
    from bench.history.gate import gate
    from bench.history.sequence import read, runs_at
    from bench.history.words import closing, for_programs, lines

    past = read(runs_at(folders or DEFAULT))
    _tell(past.left_out, past.twice)
    name, its, others = _of_machine(past.runs, machine)
    found = gate(its, threshold, window, judge_baseline=not drivers_only)
    code = found.exit or int(strict and bool(past.left_out))
    if as_json:
        click.echo(json.dumps(for_programs(found, name), indent=2, allow_nan=False))
    else:
        click.echo(f"machine: {name}")
        for line in lines(found):
            click.echo(line)
        if others:
            click.echo(f"not judged (--machine NAME): {', '.join(others)}")
        click.echo(f"netbench: {closing(found)}", err=code == 2)
    raise click.exceptions.Exit(code)


def _tell(left_out: tuple[str, ...], twice: tuple[str, ...]) -> None:
    for line in left_out:
        click.echo(f"left out: {line}", err=True)
    for line in twice:
        # Nothing is missing then: no matter for --strict.
        click.echo(f"taken once: {line}", err=True)


def _of_machine(
    runs: tuple[Measured, ...], wanted: str | None
) -> tuple[str, tuple[Measured, ...], tuple[str, ...]]:
    """The machine to judge, its runs, and the other machines' names."""
    from bench.history.machines import by_machine

    machines = by_machine(runs)
    name = wanted or next(reversed(machines))
    if name not in machines:
        raise UsageError(f"no machine {name!r} in these runs", f"known are: {', '.join(machines)}")
    return name, machines[name], tuple(one for one in machines if one != name)
