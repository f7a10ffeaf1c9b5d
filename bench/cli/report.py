"""``netbench report``: what a stored run says, for people or for programs."""

from __future__ import annotations

import gc
import json
from pathlib import Path

import click

from bench.cli._stored import newest
from bench.errors import StoreError, UsageError


@click.command("report")
@click.argument("run", type=click.Path(path_type=Path), default=Path("results"))
@click.option("--json", "as_json", is_flag=True, help="Print the summary for programs, only.")
@click.option("--csv", metavar="PATH", help="Write the samples to PATH ('-': standard output).")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for the pages and charts; the run's own if not given.",
)
def command(run: Path, *, as_json: bool, csv: str | None, out: Path | None) -> None:
    """Table, charts and pages of a stored run.

    RUN is a run's folder, or a folder of runs, of which the newest is taken (default: results).
    With --json or --csv no pages are written. Of a folder that `netbench verify` made, what its
    checks found is shown.
    """
    if as_json and csv == "-":
        raise UsageError("--json and --csv - both want standard output", "give --csv a file")
    if out is not None and (as_json or csv):
        raise UsageError("--out is for the pages, which --json and --csv leave out")
    if (run / "verify.json").is_file():
        _show_checks(run, as_json=as_json, pages=out is not None or csv is not None)
        return
    from bench.analysis.summary import summarise
    from bench.store import load

    stored = load(newest(run))
    # What was read stays to the end: a large run is not to be gone through for garbage again.
    gc.freeze()
    if csv:
        from bench.analysis.frame import samples_frame

        _write_csv(samples_frame(stored).to_csv(index=False), csv)
    if as_json:
        from bench.analysis.export import as_json as for_programs
        from bench.analysis.flags import find

        summary = summarise(stored)
        outcome = stored.end.outcome if stored.end else None
        found = for_programs(summary, find(stored, summary), outcome)
        click.echo(json.dumps(found, indent=2, allow_nan=False))
    if as_json or csv:
        return
    from bench.analysis.flags import find
    from bench.report import console, render_table, write_report
    from bench.report.words import unfinished

    summary = summarise(stored)
    flags = find(stored, summary)
    paths = write_report(stored, out, summary=summary, flags=flags)
    console().print(render_table(summary, flags))
    for note in unfinished(stored):
        click.echo(f"Note: {note}")
    click.echo(f"Report: {paths.html}")
    click.echo(f"        {paths.markdown}")
    for chart in paths.charts:
        click.echo(f"Chart:  {chart.png}")


def _show_checks(folder: Path, *, as_json: bool, pages: bool) -> None:
    """What stored checks found."""
    from bench.cli.verify import show
    from bench.report import console
    from bench.store.verification import load_verification

    if pages:
        raise UsageError(f"{folder} holds checks: they have no pages and no samples")
    found = load_verification(folder)
    if as_json:
        click.echo((folder / "verify.json").read_text())
        return
    for checked in found.checks:
        show(console(), checked)
    told = f"{found.ending}: {found.message}" if found.message else found.ending
    click.echo(f"{found.run}, {found.created}: {told}")


def _write_csv(text: str, path: str) -> None:
    if path == "-":
        click.echo(text, nl=False)
        return
    try:
        Path(path).write_text(text, encoding="utf-8", newline="")
    except OSError as fault:
        raise StoreError(f"{path}: {fault.strerror}", "name another file with --csv") from None
