"""The options by which `run` and `plan` are told what to measure, and what they make of them."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from bench.model import Inventory, Plan

F = TypeVar("F", bound=Callable[..., Any])


class Names(click.ParamType[tuple[str, ...]]):
    """Names separated by commas; which ones there are is for the plan to say."""

    name = "name[,name...]"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        if isinstance(value, tuple):
            return value
        return tuple(filter(None, (word.strip() for word in str(value).split(","))))


@dataclass(frozen=True, slots=True)
class Choices:
    """What the command line asked for."""

    inventory: Inventory
    plan: Plan


inventory_option = click.option(
    "-i",
    "--inventory",
    required=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Ansible YAML inventory of the hosts.",
)


def _folder_name(_ctx: click.Context, _param: click.Parameter, name: str | None) -> str | None:
    if name is not None and (name in {"", ".", ".."} or Path(name).name != name):
        raise click.BadParameter(f"{name!r} is not a folder's name: leave out slashes and dots")
    return name


_OPTIONS = (
    inventory_option,
    click.option(
        "--drivers",
        type=Names(),
        default=(),
        help="Drivers to compare; all by default. The baseline, host, always runs.",
    ),
    click.option("--workloads", type=Names(), default=(), help="Workloads to run; all by default."),
    click.option(
        "--placements",
        type=Names(),
        default=(),
        help="same-host, cross-host; both by default.",
    ),
    click.option(
        "--blocks",
        type=click.IntRange(1, 10_000),
        default=6,
        show_default=True,
        help="Passes over all cells, each in a fresh random order.",
    ),
    click.option(
        "--duration",
        type=click.IntRange(1, 3600),
        default=5,
        show_default=True,
        metavar="SECONDS",
        help="How long each trial measures.",
    ),
    click.option(
        "--warmup",
        type=click.IntRange(0, 60),
        default=1,
        show_default=True,
        metavar="SECONDS",
        help="How long each trial runs before that.",
    ),
    click.option(
        "--seed",
        type=click.IntRange(0, 2**32 - 1),
        default=None,
        help="Seed of the blocks' orders; a random one by default. It is recorded.",
    ),
    click.option(
        "--out",
        type=click.Path(path_type=Path),
        default=Path("results"),
        show_default=True,
        metavar="FOLDER",
        help="Where the run's own folder is made.",
    ),
    click.option("--name", callback=_folder_name, help="The run's folder; its id by default."),
    click.option(
        "--image",
        metavar="REF",
        help="A toolbox image in your own registry, instead of building and sending one.",
    ),
)


def choosing(command: F) -> F:
    """Give a command the options that ``choices`` reads."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def choices(
    *,
    inventory: Path,
    drivers: tuple[str, ...],
    workloads: tuple[str, ...],
    placements: tuple[str, ...],
    blocks: int,
    duration: int,
    warmup: int,
    seed: int | None,
) -> Choices:
    """Read the inventory and make the plan. Raises UsageError for what does not exist."""
    from bench import drivers as driver_package
    from bench import workloads as workload_package
    from bench.errors import UsageError
    from bench.inventory import load_inventory
    from bench.model import Placement
    from bench.plan import make_plan

    hosts = load_inventory(inventory)
    known = [placement.value for placement in Placement]
    for name in placements:
        if name not in known:
            raise UsageError(f"unknown placement {name!r}", f"known are: {', '.join(known)}")
    plan = make_plan(
        [host.name for host in hosts.hosts],
        driver_package.chosen(drivers),
        workload_package.chosen(workloads),
        [Placement(name) for name in dict.fromkeys(placements or known)],
        blocks=blocks,
        duration=duration,
        warmup=warmup,
        seed=secrets.randbits(32) if seed is None else seed,
    )
    return Choices(hosts, plan)
