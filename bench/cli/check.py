"""``netbench check``: are these hosts fit to be measured on, and if not, what is to be done?"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench.cli._choices import access_option, drivers_option, inventory_option

if TYPE_CHECKING:
    from rich.table import Table

    from bench.facts import HostReport, Report

# Wide enough for one row of words a host, narrow enough for a log or a mail.
WIDTH = 120


@click.command("check")
@inventory_option
@drivers_option
@access_option
@click.option("--json", "as_json", is_flag=True, help="Print everything found, for programs.")
def command(
    inventory: Path, *, drivers: tuple[str, ...], access: tuple[str, ...], as_json: bool
) -> int:
    """Look at every host, and really try the ports and the path MTU between every two, for a run
    with the same --drivers and --access.

    Exits with 0 where nothing keeps netbench from measuring, with 1 where something does. Forms no
    swarm, installs nothing, and leaves a swarm that is there as it is.
    """
    from bench import drivers as driver_package
    from bench.facts import check
    from bench.inventory import load_inventory
    from bench.matrix import parse_accesses, refuse_unknown
    from bench.model import Placement

    chosen = driver_package.chosen(drivers)
    accesses = parse_accesses(access, chosen)
    refuse_unknown(chosen, tuple(Placement), accesses)
    report = check(load_inventory(inventory), chosen=chosen, accesses=accesses)
    if as_json:
        click.echo(json.dumps(asdict(report), indent=2))
    else:
        _show(report)
    return 0 if report.ok else 1


def _show(report: Report) -> None:
    from rich.console import Console

    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=WIDTH)
    console.print(_table(report))
    count = sum(not problem.warning for problem in report.problems)
    for problem in report.problems:
        word = "[yellow]warning[/]" if problem.warning else "[red]problem[/]"
        # One line each, however long: lines are for grep too.
        console.print(word, end=" ")
        console.print(str(problem), markup=False, soft_wrap=True)
    tried = f"{len(report.ports)} ports and {len(report.paths)} paths tried between hosts"
    verdict = f"{count} problem{'s' if count > 1 else ''}" if count else "no problem"
    console.print(f"{verdict}; {tried}; {report.seconds:.1f} s")


def _table(report: Report) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    table.add_column("host", no_wrap=True)
    table.add_column("reach-\nable", no_wrap=True)
    table.add_column("engine\nkernel", no_wrap=True)
    table.add_column("privileges")
    table.add_column("swarm")
    table.add_column("data address\ninterface", no_wrap=True)
    table.add_column("ports")
    for title in ("disk free\n(GiB)", "clock\nskew (s)", "time\n(s)"):
        table.add_column(title, justify="right", no_wrap=True)
    for host in report.hosts:
        table.add_row(*_row(host))
    return table


def _row(host: HostReport) -> list[str]:
    """The cells of a host: two lines where two things belong together."""
    from rich.markup import escape

    disk, skew = host.disk_free, host.clock_skew
    cells = [
        host.name,
        "yes" if host.reachable else "no",
        f"{host.engine}\n{host.kernel}".strip(),
        host.privileges,
        host.swarm,
        f"{host.data_address}\n{host.data_interface}, MTU {host.data_mtu}"
        if host.data_address
        else "",
        host.ports,
        "" if disk is None else f"{disk / 1024**3:.1f}",
        "" if skew is None else f"{skew:+.3f}",
        f"{host.seconds:.1f}" if host.reachable else "",
    ]
    shown = [escape(cell) or "[dim]-[/]" for cell in cells]
    if not host.reachable:
        shown[1] = f"[red]{shown[1]}[/]"
    if host.ports not in ("ok", ""):
        shown[6] = f"[red]{shown[6]}[/]"
    return shown
