"""``netbench clean``: what a killed controller left on the hosts, found by its labels."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from bench.cli._choices import inventory_option


@click.command(name="clean")
@inventory_option
@click.option("--run", "run", metavar="RUN", help="Only this run's; every run's by default.")
def command(inventory: Path, run: str | None) -> None:
    """Remove the services, networks, containers and swarm membership that runs of netbench created
    and did not remove. Nothing without netbench's labels is touched.

    Without --run it also ends runs that are going on now. Exit code 1 when something could not be
    removed.
    """
    from bench.cleanup import clean
    from bench.inventory import load_inventory
    from bench.remote.fleet import connect

    with connect(load_inventory(inventory).hosts) as fleet:
        cleaned = clean(fleet, run)
    for line in cleaned.outstanding:
        click.echo(f"netbench: not removed: {line}", err=True)
    told = ", ".join(f"{number} {kind}" for kind, number in cleaned.removed.items())
    found_none = "nothing" if cleaned.outstanding else "nothing; there was nothing"
    click.echo(f"removed: {told or found_none}")
    sys.exit(1 if cleaned.outstanding else 0)
