"""The options by which `run` and `plan` are told what to measure, and what they make of them."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import click

from bench.cli._types import Duration, Names, Share
from bench.model import Inventory, Plan, Stopping

F = TypeVar("F", bound=Callable[..., Any])

BUDGET = 1800.0
WARMUP = 1
MIN_BLOCKS = 6
# How long trials are where nobody says; the shorter ones only where a budget holds no longer ones.
DURATIONS = (5, 4, 3, 2)


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


drivers_option = click.option(
    "--drivers",
    type=Names(),
    default=(),
    help="Drivers to compare; host, bridge, overlay and macvlan by default, `all` for every "
    "one. The baseline, host, always runs.",
)
access_option = click.option(
    "--access",
    type=Names(),
    default=(),
    help="How clients reach servers: direct, dns, vip, link, published-host, published-ingress, "
    "published-ingress-other, the last three also with -plain for a client outside Docker's "
    "networks, or `all`; by default each driver's first (docs/drivers.md).",
)


def _folder_name(_ctx: click.Context, _param: click.Parameter, name: str | None) -> str | None:
    if name is not None and (name in {"", ".", ".."} or Path(name).name != name):
        raise click.BadParameter(f"{name!r} is not a folder's name: leave out slashes and dots")
    return name


_STORING = (
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


_OPTIONS = (
    inventory_option,
    drivers_option,
    access_option,
    click.option(
        "--profile",
        default=None,
        metavar="NAME|FILE",
        help="What is measured and how long, where no other option says so: quick, standard (the "
        "default), thorough, or a YAML file (docs/workloads.md).",
    ),
    click.option(
        "--workloads",
        type=Names(),
        default=(),
        help="Workloads to run, with parameters as tcp-rr:size=1024 or tcp-stream:direction=both; "
        "the profile's by default (docs/workloads.md has them all).",
    ),
    click.option(
        "--streams",
        type=Names(),
        default=(),
        metavar="N,...",
        help="Measure workloads of bulk TCP once with each of these numbers of streams at once, "
        "as 1,4,16.",
    ),
    click.option(
        "--placements",
        type=Names(),
        default=(),
        help="same-host, cross-host; both by default.",
    ),
    click.option(
        "--blocks",
        type=click.IntRange(1, 10_000),
        default=None,
        help="Passes over all cells, each in a fresh random order; the profile's or 6 by default.",
    ),
    click.option(
        "--target",
        type=Share(),
        default=None,
        help="Instead of --blocks: go on until the ratios' 95 % intervals are within plus or minus "
        "this, as 3%; cells that are settled rest.",
    ),
    click.option(
        "--budget",
        type=Duration(),
        default=None,
        help="Instead of --blocks: the time for the whole run, set-up and an ordinary clean-up "
        "included, as 10m; 30m by default with --target. Without --target it is used up.",
    ),
    click.option(
        "--min-blocks",
        type=click.IntRange(MIN_BLOCKS, 1000),
        default=None,
        help=f"With --target or --budget: the fewest blocks; {MIN_BLOCKS} by default.",
    ),
    click.option(
        "--aa/--no-aa",
        default=None,
        help="Measure the baseline twice under two labels in every workload and placement (A/A), "
        "to see what the run makes of no difference; or never. By default once a run.",
    ),
    click.option(
        "--duration",
        type=click.IntRange(1, 3600),
        default=None,
        metavar="SECONDS",
        help="How long each trial measures; the profile's or 5 by default, then down to 2 where "
        "the budget is short. http-echo takes a fifth more (1 s at least) for its latencies.",
    ),
    click.option(
        "--warmup",
        type=click.IntRange(0, 60),
        default=None,
        metavar="SECONDS",
        help="How long each trial runs before that; the profile's or 1 by default.",
    ),
    click.option(
        "--pin",
        default="auto",
        show_default=True,
        metavar="auto|off|CLIENT:SERVER",
        help="The CPUs that the two ends are held to, as 0-1:2-3. auto keeps them apart where "
        "both run on the same processors.",
    ),
    click.option(
        "--mtu",
        default="auto",
        show_default=True,
        metavar="auto|default|BYTES",
        help="The MTU below the networks that are created: what is found to fit between all hosts, "
        "what Docker takes by itself, or a number.",
    ),
    click.option(
        "--seed",
        type=click.IntRange(0, 2**32 - 1),
        default=None,
        help="Seed of the blocks' orders; a random one by default. It is recorded.",
    ),
)


def choosing(command: F) -> F:
    """Give a command the options that ``choices`` reads."""
    for option in reversed((*_OPTIONS, *_STORING)):
        command = option(command)
    return command


def storing(command: F) -> F:
    """Give a command the options that say where what it does is stored, and by which image."""
    for option in reversed(_STORING):
        command = option(command)
    return command


def choices(
    *,
    inventory: Path,
    drivers: tuple[str, ...],
    access: tuple[str, ...],
    profile: str | None,
    workloads: tuple[str, ...],
    streams: tuple[str, ...],
    placements: tuple[str, ...],
    blocks: int | None,
    target: float | None,
    budget: float | None,
    min_blocks: int | None,
    aa: bool | None,
    duration: int | None,
    warmup: int | None,
    pin: str,
    mtu: str,
    seed: int | None,
) -> Choices:
    """Read the inventory and make the plan. Raises UsageError for what cannot be."""
    from bench import drivers as driver_package
    from bench import pinning
    from bench import workloads as workload_package
    from bench.errors import UsageError
    from bench.inventory import load_inventory
    from bench.matrix import parse_accesses, refuse_idle
    from bench.model import Placement
    from bench.plan import BLOCKS, make_plan
    from bench.profiles import STANDARD, load
    from bench.site import parse_mtu

    wanted = load(profile or STANDARD)
    stopping = _stopping(blocks, target, budget, min_blocks, aa=aa is True)
    pinning.parse(pin)
    parse_mtu(mtu)
    hosts = load_inventory(inventory)
    known = [placement.value for placement in Placement]
    for name in placements:
        if name not in known:
            raise UsageError(f"unknown placement {name!r}", f"known are: {', '.join(known)}")
    chosen = driver_package.chosen(drivers)
    where = [Placement(name) for name in dict.fromkeys(placements or known)]
    accesses = parse_accesses(access, chosen)
    if drivers not in {(), (driver_package.ALL,)}:
        refuse_idle(chosen, where, accesses)
    measured = workload_package.chosen(workloads or wanted.workloads)
    if streams:
        measured = workload_package.each_with(measured, "streams", streams)
    make = partial(
        make_plan,
        [host.name for host in hosts.hosts],
        chosen,
        measured,
        where,
        blocks=blocks or wanted.blocks or BLOCKS,
        warmup=next((one for one in (warmup, wanted.warmup) if one is not None), WARMUP),
        seed=secrets.randbits(32) if seed is None else seed,
        aa=None if aa is None else int(aa),
        stopping=stopping,
        pin=pin,
        accesses=accesses,
        mtu=mtu,
    )
    fixed = duration or wanted.duration
    return Choices(hosts, make(duration=fixed) if fixed else _longest(make))


def _longest(make: Callable[..., Plan]) -> Plan:
    """The plan with the longest of the usual trials with which it can be made."""
    from bench.errors import UsageError

    usual, *shorter = DURATIONS
    for duration in (usual, *shorter[:-1]):
        with suppress(UsageError):
            return _told(make(duration=duration), usual)
    return _told(make(duration=shorter[-1]), usual)


def _told(plan: Plan, usual: int) -> Plan:
    if plan.duration != usual:
        click.echo(
            f"trials of {plan.duration} s instead of {usual} s: the budget is short; "
            "--duration sets it",
            err=True,
        )
    return plan


def _stopping(
    blocks: int | None,
    target: float | None,
    budget: float | None,
    min_blocks: int | None,
    *,
    aa: bool,
) -> Stopping | None:
    """When the run ends, where that is not after a number of blocks."""
    from bench.errors import UsageError
    from bench.units import lasting

    if target is None and budget is None:
        if min_blocks is not None:
            raise UsageError(
                "--min-blocks says nothing without --target or --budget",
                "give one of them, or --blocks for a fixed number",
            )
        return None
    if blocks is not None:
        other = "--budget" if target is None else "--target"
        raise UsageError(
            f"--blocks and {other} contradict each other: how many blocks there are is either "
            "fixed or found out",
            "leave one out; --min-blocks sets the fewest",
        )
    if budget is None:
        budget = BUDGET
        click.echo(
            f"no --budget given: the run ends after {lasting(budget)} at the latest", err=True
        )
    return Stopping(target, budget, min_blocks or MIN_BLOCKS, aa)
