"""``netbench lab``: several real Docker hosts on this machine."""

from __future__ import annotations

import os
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import click

from bench.cli._types import Delay, Loss, Rate
from bench.errors import LabError

NAME = click.option("--name", default="lab", show_default=True, help="The lab's name.")
INVENTORY = click.option(
    "--inventory",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where its inventory is.  [default: hosts/NAME.yaml]",
)


@click.group("lab")
def command() -> None:
    """Several real Docker hosts on this machine, to measure without any other.

    Each host has its own network, its own sshd and its own Docker engine. `up` writes an inventory
    for them that all other verbs, and Ansible, take like any other.
    """


@command.command()
@click.option(
    "--hosts",
    type=click.IntRange(1, 32),
    help="How many hosts.  [default: 3, or 2 virtual machines]",
)
@click.option(
    "--backend",
    type=click.Choice(["namespace", "vm"]),
    default="namespace",
    show_default=True,
    help="What a host is: namespaces of this machine, or a virtual machine with its own kernel.",
)
@click.option(
    "--suite",
    type=click.Choice(["trixie", "bookworm"]),
    help="Debian of the hosts, with its own Docker engine.  [default: this machine's own files;"
    " trixie in virtual machines]",
)
@click.option("--bare", is_flag=True, help="Virtual machines without Docker, for Ansible.")
@click.option(
    "--memory",
    type=click.IntRange(384, 65536),
    metavar="MIB",
    help="Memory of each virtual machine.  [default: 768]",
)
@click.option(
    "--filter-macs",
    is_flag=True,
    help="Let only a virtual machine's own MAC address pass, as clouds do.",
)
@NAME
@INVENTORY
def up(
    hosts: int | None,
    backend: str,
    suite: str | None,
    name: str,
    inventory: Path | None,
    **machine: Any,
) -> None:
    """Bring a lab up and write its inventory. A lab that is up already stays as it is.

    With --suite, namespaces have a Debian root file system of their own, and so another engine than
    this machine's: trixie has Docker 26.1, bookworm 20.10. It is built once from Debian packages,
    which takes a minute.

    Virtual machines take minutes where their processor has to be emulated, and once more minutes
    to build their image from Debian packages.
    """
    wanted = {key: value for key, value in machine.items() if value}
    if wanted and backend != "vm":
        option = next(iter(wanted)).replace("_", "-")
        raise click.UsageError(f"--{option} is for --backend vm")
    if suite:
        wanted["suite"] = suite
    _become_root()
    from bench.lab import lifecycle
    from bench.lab.handout import Owner
    from bench.lab.layout import Machines

    begun = time.monotonic()
    where = _inventory(name, inventory)
    lab, already = lifecycle.up(
        name,
        hosts,
        where,
        Owner.invoking(os.environ),
        machines=Machines(**wanted) if backend == "vm" else None,
        suite=suite if backend == "namespace" else None,
        tell=lambda line: click.echo(f"netbench: {line}", err=True),
    )
    count = "1 host" if lab.size == 1 else f"{lab.size} hosts"
    took = "already" if already else f"after {time.monotonic() - begun:.1f} s"
    click.echo(f"lab {name}: {count} up {took}: {', '.join(lab.hosts)}")
    click.echo(f"inventory: {os.path.relpath(where)}")


@command.command()
@NAME
def status(name: str) -> None:
    """Show a lab's hosts. Exits with 1 if there is no lab or something in it is down."""
    _become_root()
    from rich.console import Console
    from rich.table import Table

    from bench.lab import lifecycle

    found = lifecycle.status(name)
    if found is None:
        raise LabError(f"there is no lab {name}", f"run `netbench lab up --name {name}`")
    links = found.lab.links
    table = Table("host", "address", "sshd", "dockerd", "containers", "pids", "state", "link")
    for host in found.hosts:
        table.add_row(
            host.name,
            host.address,
            host.sshd.partition(" ")[0] or "-",
            host.engine or "-",
            str(host.containers) if host.engine else "-",
            str(host.pids),
            host.problem or "up",
            links[host.name].words if host.name in links else "-",
        )
    # Into a file or a pipe there is no edge to fold at.
    Console(width=None if sys.stdout.isatty() else 200).print(table)
    for where in found.lab.handouts:
        click.echo(f"inventory: {where}")
    if any(host.problem for host in found.hosts):
        raise click.exceptions.Exit(1)


@command.command()
@NAME
@INVENTORY
@click.option("--all", "everything", is_flag=True, help="Take every lab on this machine down.")
def down(name: str, inventory: Path | None, *, everything: bool) -> None:
    """Take a lab down and remove all it made, whatever state it is in."""
    if everything and inventory is not None:
        raise click.UsageError("--all and --inventory exclude each other")
    _become_root()
    from bench.lab import lifecycle

    failed = False
    for label in lifecycle.every() if everything else [name]:
        try:
            existed = lifecycle.down(label, _inventory(label, inventory))
        except LabError as fault:
            if not everything:
                raise
            # One that cannot go now is no reason to leave the others.
            click.echo(f"netbench: {fault}", err=True)
            failed = True
        else:
            left = "down, nothing is left of it" if existed else "there is none"
            click.echo(f"lab {label}: {left}")
    if failed:
        raise click.exceptions.Exit(1)


@command.command()
@NAME
@click.option("--rate", type=Rate(), help="What it carries each way, like 1gbit or 100mbit.")
@click.option("--delay", type=Delay(), help="How much later a packet arrives, like 10ms.")
@click.option("--loss", type=Loss(), help="The share of packets that never arrives, like 0.1%.")
@click.option("--host", "hosts", multiple=True, help="Only this host's link; can be repeated.")
@click.option("--off", is_flag=True, help="Take away what was set.")
def link(
    name: str,
    rate: float | None,
    delay: float | None,
    loss: float | None,
    hosts: tuple[str, ...],
    *,
    off: bool,
) -> None:
    """Make the lab's links like the ones you will have, or show what they are made like.

    A rate is an Ethernet's, frames included: TCP gets 94 % of it. Delay and loss are those of one
    packet on its way from one host to another; there and back it is delayed twice. What is given
    replaces what was set before. Traffic of the controller is not affected. Runs record it.
    """
    wanted = [value for value in (rate, delay, loss) if value is not None]
    if off and wanted:
        raise click.UsageError("--off goes with none of --rate, --delay and --loss")
    if hosts and not (off or wanted):
        raise click.UsageError("--host needs --rate, --delay, --loss or --off")
    if wanted and not any(wanted):
        raise click.UsageError("no delay and no loss is no link to speak of: use --off")
    _become_root()
    from bench.lab import link as links
    from bench.lab.layout import Link

    if off or wanted:
        found = links.shape(name, None if off else Link(rate, delay or 0.0, loss or 0.0), hosts)
    else:
        found = links.look(name)
    for host in found.hosts:
        click.echo(f"{host}: {found.links[host].words if host in found.links else 'as it is'}")


def _inventory(name: str, given: Path | None) -> Path:
    return Path(os.path.abspath(given or Path("hosts", f"{name}.yaml")))  # noqa: PTH100 - no resolving of links: the user named this path


def _become_root() -> None:
    """Run this very command again through sudo, unless we are root."""
    if os.geteuid() == 0:
        return
    if shutil.which("sudo") is None:
        raise LabError(
            "the lab makes network namespaces and starts Docker engines, which only root may do",
            "run this as root, or install sudo",
        )
    click.echo(
        "netbench: the lab makes network namespaces and starts Docker engines: asking sudo",
        err=True,
    )
    # -P: a folder called bench where the user happens to be is not run as root. -B: root leaves no
    # compiled files of its own among the user's.
    again = [sys.executable, "-P", "-B", "-m", "bench", *sys.argv[1:]]
    os.execvp("sudo", ["sudo", "--", *again])  # noqa: S606 - an argv list, and no shell is wanted
