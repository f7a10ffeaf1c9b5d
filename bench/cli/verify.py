"""``netbench verify``: what else a network must do, tried, judged and stored."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench.cli._choices import inventory_option, storing

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from bench.checked import Checked, Figure, Finding

# How many failures of one check are listed one by one.
LISTED = 20
# In a finding's group: from whom to whom.
ARROW = " -> "


@click.command("verify")
@click.argument("checks", nargs=-1, metavar="[isolation|dns|balance|attach|failover]...")
@inventory_option
@click.option(
    "--plant-leak",
    is_flag=True,
    help="isolation: take a container that is on both tenants' networks for one of the first "
    "tenant's alone, to see that a leak is found.",
)
@click.option(
    "--lab",
    metavar="NAME",
    help="failover: the hosts are this lab's: one can be cut off, and a virtual machine's engine "
    "stopped.",
)
@storing
def command(
    checks: tuple[str, ...],
    *,
    inventory: Path,
    plant_leak: bool,
    lab: str | None,
    out: Path,
    name: str | None,
    image: str | None,
) -> None:
    """Try what else networks are chosen for: isolation between tenants, DNS, load balancing, the
    time to attach and start, failover. All checks that are not named are left out; none named is
    all of them.

    What was expected and found is stored below --out, with the raw output. Exit code 0 when all is
    as expected and nothing is left on the hosts, 1 when not, 2 for usage, 130 when interrupted.
    """
    from rich.console import Console

    from bench import checks as known
    from bench.inventory import load_inventory
    from bench.remote.fleet import connect
    from bench.report import console
    from bench.verify import Asked, verify

    chosen = known.chosen(checks)
    hosts = load_inventory(inventory)
    screen, progress = console(), Console(stderr=True, highlight=False)
    path, found = verify(
        Asked(
            inventory=hosts,
            checks=chosen,
            out=out,
            name=name,
            image=image,
            command=("netbench", *sys.argv[1:]),
            plant_leak=plant_leak,
            cut=_cutting(lab),
            each=lambda checked: show(screen, checked),
        ),
        lambda: connect(hosts.hosts),
        lambda line: progress.print(line, markup=False, soft_wrap=True),
    )
    for line in found.outstanding:
        click.echo(f"left on the hosts: {line}", err=True)
    words = [f"{one.check} {one.outcome}" for one in found.checks]
    told = f"{found.ending}: {found.message}" if found.message else found.ending
    last = [told, ", ".join(words) or "no check was done", f"stored in {path}"]
    if found.outstanding:
        last.append("not all was removed: run `netbench clean` with the same inventory")
    click.echo(f"netbench: {'; '.join(last)}", err=not found.good)
    sys.exit(130 if found.ending == "interrupted" else 0 if found.good else 1)


def _cutting(lab: str | None) -> Callable[[str, bool], None] | None:
    """What cuts a lab's host off. Raises LabError where there is no such lab, or only root may."""
    if lab is None:
        return None
    from bench.errors import LabError
    from bench.lab.link import cut, look

    if os.geteuid() != 0:
        raise LabError("only root can cut a lab's host off", "run this as root, or leave --lab out")
    look(lab)
    return lambda host, off: cut(lab, host, off=off)


def show(console: Console, checked: Checked) -> None:
    """One check's result: what was expected and found, figures, what was skipped, what is wrong."""
    report = checked.report
    console.print()
    console.print(f"{checked.check}: {checked.title}", style="bold", markup=False)
    between = [one for one in report.findings if ARROW in one.group]
    others = [one for one in report.findings if ARROW not in one.group]
    if between:
        console.print("reached, of what was tried (rows ask columns):")
        console.print(_matrix(between))
    if others:
        console.print(_findings(others))
    for unit in dict.fromkeys(figure.unit for figure in report.figures):
        console.print(_figures([one for one in report.figures if one.unit == unit]))
    for note in report.notes:
        console.print(note, markup=False, soft_wrap=True)
    for one in report.skipped:
        console.print(f"skipped: {one.what}: {one.why}", markup=False, soft_wrap=True)
    failures = [finding.failure for finding in report.findings if finding.failure]
    if checked.fault:
        failures.append(checked.fault)
    for failure in failures[:LISTED]:
        console.print(failure, style="red", markup=False, soft_wrap=True)
    if len(failures) > LISTED:
        more = len(failures) - LISTED
        console.print(f"and {more} more: see verify.json", style="red", markup=False)
    console.print(f"{checked.check}: {checked.outcome} after {checked.seconds:.0f} s", markup=False)


def _table(*titles: str) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    for place, title in enumerate(titles):
        table.add_column(title, justify="right" if place else "left", no_wrap=not place)
    return table


def _matrix(findings: Iterable[Finding]) -> Table:
    """Of findings in groups `from -> to`: a row for each from, a column for each to."""
    from rich.markup import escape

    fields: dict[tuple[str, str], list[Finding]] = {}
    for finding in findings:
        source, _, target = finding.group.partition(ARROW)
        fields.setdefault((source, target), []).append(finding)
    sources = list(dict.fromkeys(source for source, _ in fields))
    found = dict.fromkeys(target for _, target in fields)
    targets = sorted(found, key=lambda one: sources.index(one) if one in sources else len(sources))
    table = _table("", *(target.replace("-", "-\n", 1) for target in targets))
    for source in sources:
        cells = []
        for target in targets:
            some = fields.get((source, target), [])
            reached = sum(one.found == "reached" for one in some)
            told = f"{reached}/{len(some)}" if some else ""
            cells.append(f"[red]{told}[/]" if any(one.failure for one in some) else told)
        table.add_row(escape(source), *cells)
    return table


def _findings(findings: Iterable[Finding]) -> Table:
    """A row for each group: what was expected of its findings, and how many are as expected."""
    from rich.markup import escape

    groups: dict[str, list[Finding]] = {}
    for finding in findings:
        groups.setdefault(finding.group, []).append(finding)
    table = _table("", "expected", "as expected")
    for group, some in groups.items():
        expected = " / ".join(dict.fromkeys(one.expected for one in some))
        good = sum(not one.failure for one in some)
        told = f"{good} of {len(some)}"
        table.add_row(
            escape(group), escape(expected), told if good == len(some) else f"[red]{told}[/]"
        )
    return table


def _figures(figures: list[Figure]) -> Table:
    """A row for each thing, a column for each number of it."""
    from rich.markup import escape

    from bench.units import human

    names = list(dict.fromkeys(figure.name for figure in figures))
    table = _table("", *names)
    for of in dict.fromkeys(figure.of for figure in figures):
        values = {one.name: human(one.value, one.unit) for one in figures if one.of == of}
        table.add_row(escape(of), *(values.get(name, "") for name in names))
    return table
