"""``netbench scenario``: build one, try it, measure it, take it down."""

from __future__ import annotations

import secrets
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench.cli._choices import inventory_option, storing
from bench.cli._types import Names

if TYPE_CHECKING:
    from bench.deployment import Deployment
    from bench.model import Inventory, Plan
    from bench.remote.fleet import Fleet
    from bench.runner import Outcome
    from bench.scenarios.base import Scenario


@dataclass(slots=True)
class _Story:
    """What is told of a scenario, on the way and afterwards."""

    lines: list[str] = field(default_factory=list)
    tried: int = 0
    failed: int = 0

    def tell(self, line: str) -> None:
        self.lines.append(line)
        click.echo(line)


@click.command("scenario")
@click.argument("wanted", metavar="direct|publish|overlay")
@inventory_option
@click.option("--workloads", type=Names(), default=("http-echo",), help="http-echo by default.")
@click.option(
    "--blocks",
    type=click.IntRange(1, 1000),
    default=6,
    show_default=True,
    help="How often each way is measured, in turn with the host's own network.",
)
@click.option(
    "--duration",
    type=click.IntRange(1, 3600),
    default=2,
    show_default=True,
    metavar="SECONDS",
    help="How long each trial measures.",
)
@storing
def command(
    wanted: str,
    *,
    inventory: Path,
    workloads: tuple[str, ...],
    blocks: int,
    duration: int,
    out: Path,
    name: str | None,
    image: str | None,
) -> None:
    """Build a scenario on your hosts, try it, measure it, and take it down again.

    direct: two services on one bridge of one host. publish: a web service behind a published port,
    and what the mapping costs. overlay: services on all hosts that find each other by name.

    Prints what was built, what was tried and what came back, and the numbers, in pairs against the
    host's own network. It is stored as a run (scenario.txt is what was printed). Exit code 0 when
    all came back as it should and nothing is left on the hosts, 1 when not, 130 when interrupted.
    """
    from rich.console import Console

    from bench import scenarios
    from bench.cli._closing import closing
    from bench.cli._progress import PlainProgress
    from bench.inventory import load_inventory
    from bench.registry import choose
    from bench.remote.fleet import connect
    from bench.runner import Request, execute

    (scenario,) = choose(scenarios.known(), (wanted,), "scenario")
    hosts = _taking_part(scenario, load_inventory(inventory))
    plan = _plan(scenario, hosts, workloads, blocks, duration)
    story = _Story()

    def visit(fleet: Fleet, deployment: Deployment) -> None:
        found = scenarios.tour(scenario, fleet, deployment, story.tell)
        story.tried = len(found)
        story.failed = sum(not came.good for came in found)

    story.tell(f"{scenario.name}: {scenario.title} ({', '.join(plan.hosts)})")
    request = Request(
        inventory=hosts,
        plan=plan,
        out=out,
        name=name,
        image=image,
        command=("netbench", *sys.argv[1:]),
        note=f"scenario {scenario.name}",
        visit=visit,
    )
    outcome = execute(
        request, lambda: connect(hosts.hosts), PlainProgress(Console(stderr=True, soft_wrap=True))
    )
    click.echo(f"measured: {scenario.lesson}")
    code = closing(outcome)
    sys.exit(_told(story, outcome) or code)


def _taking_part(scenario: Scenario, inventory: Inventory) -> Inventory:
    """The inventory with the hosts that the scenario needs. Raises UsageError for too few."""
    from bench.errors import UsageError

    if len(inventory.hosts) < scenario.least:
        raise UsageError(
            f"the scenario {scenario.name} needs {scenario.least} hosts and the inventory has "
            f"{len(inventory.hosts)}",
            "add a host",
        )
    return replace(inventory, hosts=inventory.hosts[: scenario.hosts])


def _plan(
    scenario: Scenario, hosts: Inventory, names: tuple[str, ...], blocks: int, duration: int
) -> Plan:
    from bench import drivers, workloads
    from bench.plan import make_plan

    return make_plan(
        [host.name for host in hosts.hosts],
        drivers.chosen(scenario.drivers),
        workloads.chosen(names),
        scenario.placements,
        blocks=blocks,
        duration=duration,
        warmup=1,
        seed=secrets.randbits(32),
        pin="auto",
        accesses=scenario.accesses,
    )


def _told(story: _Story, outcome: Outcome) -> int:
    """Say what was tried and taken down, and keep it all with the run; returns the exit code."""
    from bench.errors import StoreError

    story.tell(f"came back as it should: {story.tried - story.failed} of {story.tried} attempts")
    left = "; ".join(outcome.end.outstanding)
    story.tell(f"taken down: {f'all but {left}' if left else 'all of it'}")
    path = outcome.path / "scenario.txt"
    try:
        path.write_text("\n".join(story.lines) + "\n")
    except OSError as fault:
        raise StoreError(f"{path}: {fault.strerror}") from fault
    return 1 if story.failed or not story.tried else 0
