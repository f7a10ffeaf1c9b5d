"""From what the user asked for to a run's blocks in order, and how long they will take. Pure.

A block is one pass over all cells in a fresh seeded random order, so that slow drift of the
machines falls on every treatment alike, and each block holds its own baseline to compare with. The
blocks take turns over the pairs of neighbours in the inventory; inside a block client and server
hosts never change, so every ratio is taken on one pair.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import replace

from bench import workloads as workload_package
from bench.drivers import BASELINE
from bench.drivers.base import Driver
from bench.errors import UsageError
from bench.matrix import refuse_unknown, ways
from bench.model import Access, Cell, HostPair, Placement, Plan, PlannedTrial, Stopping
from bench.units import lasting
from bench.workloads.base import Workload

# What a trial costs beside its tool's time, and what set-up and teardown cost: for estimates alone.
TRIAL_OVERHEAD = 0.4
SETUP = 20.0
TEARDOWN = 10.0

BLOCKS = 6
MOST_BLOCKS = 10_000


def make_plan(
    hosts: Sequence[str],
    drivers: Sequence[Driver],
    workloads: Sequence[Workload],
    placements: Sequence[Placement],
    *,
    blocks: int = BLOCKS,
    duration: int,
    warmup: int,
    seed: int,
    aa: int | None = 0,
    stopping: Stopping | None = None,
    pin: str = "off",
    accesses: Sequence[Access] = (),
    mtu: str = "auto",
) -> Plan:
    """The plan for these choices; the same arguments give the same plan.

    Every driver is reached in its first way in each placement, or in all of those among
    ``accesses`` that it has; the baseline in its only one.

    ``aa`` is how often every baseline cell is measured once more as an A/A cell; None asks for a
    single one, of the first workload across hosts where that is measured, unless a budget has no
    room for it. With ``stopping`` the number of blocks follows from the budget, not from
    ``blocks``. Raises UsageError where a cross-host placement is asked of one host, where a budget
    cannot hold the blocks that it must, and where a target has nothing to be reached for.
    """
    if Placement.CROSS_HOST in placements and len(hosts) < 2:
        raise UsageError(
            f"placement cross-host needs two hosts and the inventory has {len(hosts)}",
            "add a host, or choose --placements same-host",
        )
    refuse_unknown(drivers, placements, accesses)
    cells = tuple(
        Cell(driver.name, access, placement, workload.name)
        for workload in workloads
        for placement in placements
        for driver in drivers
        for access in ways(driver, placement, accesses)
    )
    copies = tuple(_copies(cells, aa))
    plan = Plan(tuple(hosts), cells + copies, blocks, duration, warmup, seed, stopping, pin, mtu)
    if stopping is None:
        return plan
    if aa is None and affordable(plan, stopping.budget) < stopping.min_blocks:
        plan = replace(plan, cells=cells)
    _refuse(plan, stopping)
    return replace(plan, blocks=_most(plan, stopping))


def pairs(plan: Plan) -> tuple[HostPair, ...]:
    """The pairs of neighbours over which the plan's blocks take turns, in their order."""
    if len(plan.hosts) == 1:
        return (HostPair(plan.hosts[0], plan.hosts[0]),)
    following = [*plan.hosts[1:], plan.hosts[0]]
    return tuple(HostPair(one, other) for one, other in zip(plan.hosts, following, strict=True))


def trials_of(plan: Plan, block: int) -> tuple[PlannedTrial, ...]:
    """All cells of one block (numbered from 0) in that block's own order.

    A block depends on the seed and its number alone: it is the same whatever ran before it.
    """
    every = pairs(plan)
    shuffle = random.Random(f"{plan.seed}/{block}")
    first = block * len(plan.cells)
    return tuple(
        PlannedTrial(first + place, block, every[block % len(every)], cell)
        for place, cell in enumerate(shuffle.sample(plan.cells, len(plan.cells)))
    )


def round_of(plan: Plan) -> Iterator[PlannedTrial]:
    """The trials of the first blocks, one block for each pair: they hold every path of the run."""
    for block in range(min(plan.blocks, len(pairs(plan)))):
        yield from trials_of(plan, block)


def planned_trials(plan: Plan) -> Iterator[PlannedTrial]:
    """The trials of every block of the plan, in order."""
    for block in range(plan.blocks):
        yield from trials_of(plan, block)


def seconds_a_trial(plan: Plan, cell: Cell) -> float:
    """What one trial of a cell is expected to take, in seconds."""
    span = workload_package.named(cell.workload).span(plan.duration, plan.warmup)
    return span.wall + TRIAL_OVERHEAD


def seconds_a_block(plan: Plan) -> float:
    """What one block of all cells is expected to take, in seconds."""
    return math.fsum(seconds_a_trial(plan, cell) for cell in plan.cells)


def calibrations(plan: Plan) -> tuple[PlannedTrial, ...]:
    """What has to be measured before the first block, once on every path, as other workloads take
    their rate from it; numbered as the trial whose path it is."""
    found: dict[tuple[HostPair, Cell], PlannedTrial] = {}
    for planned in round_of(plan):
        needed = workload_package.named(planned.cell.workload).relative_to
        if needed:
            cell = replace(planned.cell, workload=needed, aa=0)
            found.setdefault((planned.pair, cell), replace(planned, cell=cell))
    return tuple(found.values())


def seconds_before(plan: Plan) -> float:
    """What it is expected to take until the first block begins, in seconds."""
    return SETUP + math.fsum(seconds_a_trial(plan, one.cell) for one in calibrations(plan))


def estimate(plan: Plan) -> float:
    """Seconds that the run is expected to take, set-up and teardown included: the whole budget,
    where there is one."""
    if plan.stopping is not None:
        return plan.stopping.budget
    return seconds_before(plan) + plan.blocks * seconds_a_block(plan) + TEARDOWN


def affordable(plan: Plan, budget: float) -> int:
    """How many blocks of all cells a budget of ``budget`` seconds is expected to hold."""
    return max(0, int((budget - seconds_before(plan) - TEARDOWN) / seconds_a_block(plan)))


def _refuse(plan: Plan, stopping: Stopping) -> None:
    """Raise UsageError for a target or a budget that cannot be met."""
    if stopping.target is not None and all(
        cell.driver == BASELINE and not cell.aa for cell in plan.cells
    ):
        raise UsageError(
            f"--target needs something to compare with {BASELINE}, and nothing else is measured",
            "add a driver, or --aa",
        )
    holds, least = affordable(plan, stopping.budget), stopping.min_blocks
    if holds < least:
        needed = seconds_before(plan) + least * seconds_a_block(plan) + TEARDOWN
        raise UsageError(
            f"a budget of {lasting(stopping.budget)} holds about {holds} blocks, and at least "
            f"{least} are needed: {len(plan.cells)} cells with trials of {plan.duration} s after "
            f"{plan.warmup} s of warm-up take {seconds_a_block(plan):.0f} s a block, set-up and "
            f"teardown {seconds_before(plan) + TEARDOWN:.0f} s",
            f"give --budget {math.ceil(needed / 60)}m, a shorter --duration, or fewer --drivers, "
            "--workloads or --placements",
        )


def _most(plan: Plan, stopping: Stopping) -> int:
    """More blocks than this there cannot be: each has a trial at least, of known length."""
    fastest = stopping.budget / (plan.duration + plan.warmup)
    return max(stopping.min_blocks, min(MOST_BLOCKS, int(fastest)))


def _copies(cells: Sequence[Cell], aa: int | None) -> Iterator[Cell]:
    """The A/A cells: ``aa`` for every baseline cell, or for None one in the background."""
    baselines = [cell for cell in cells if cell.driver == BASELINE]
    if aa is None:
        across = [cell for cell in baselines if cell.placement is Placement.CROSS_HOST]
        baselines, aa = (across or baselines)[:1], 1
    for cell in baselines:
        for copy in range(1, aa + 1):
            yield replace(cell, aa=copy)
