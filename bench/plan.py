"""From what the user asked for to the run's trials in order, and how long they will take. Pure.

A block is one pass over all cells in a fresh seeded random order, so that slow drift of the
machines falls on every treatment alike, and each block holds its own baseline to compare with. The
blocks take turns over the pairs of neighbours in the inventory; inside a block client and server
hosts never change, so every ratio is taken on one pair.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from bench.drivers.base import Driver
from bench.errors import UsageError
from bench.model import Cell, HostPair, Placement, Plan, PlannedTrial
from bench.workloads.base import Workload

# What a trial costs beside its tool's time, and what set-up and teardown cost: for estimates alone.
TRIAL_OVERHEAD = 0.4
SETUP = 20.0
TEARDOWN = 10.0


def make_plan(
    hosts: Sequence[str],
    drivers: Sequence[Driver],
    workloads: Sequence[Workload],
    placements: Sequence[Placement],
    *,
    blocks: int,
    duration: int,
    warmup: int,
    seed: int,
) -> Plan:
    """The plan for these choices; the same arguments give the same plan.

    Raises UsageError where a cross-host placement is asked of one host.
    """
    if Placement.CROSS_HOST in placements and len(hosts) < 2:
        raise UsageError(
            f"placement cross-host needs two hosts and the inventory has {len(hosts)}",
            "add a host, or choose --placements same-host",
        )
    cells = tuple(
        Cell(driver.name, driver.access[placement], placement, workload.name)
        for workload in workloads
        for placement in placements
        for driver in drivers
        if placement in driver.access
    )
    pairs = _pairs(hosts)
    shuffle = random.Random(seed)
    trials: list[PlannedTrial] = []
    for block in range(blocks):
        for cell in shuffle.sample(cells, len(cells)):
            trials.append(PlannedTrial(len(trials), block, pairs[block % len(pairs)], cell))
    return Plan(tuple(hosts), cells, blocks, duration, warmup, seed, tuple(trials))


def estimate(plan: Plan) -> float:
    """Seconds that the run is expected to take, set-up and teardown included."""
    each = plan.duration + plan.warmup + TRIAL_OVERHEAD
    return SETUP + len(plan.trials) * each + TEARDOWN


def _pairs(hosts: Sequence[str]) -> list[HostPair]:
    if len(hosts) == 1:
        return [HostPair(hosts[0], hosts[0])]
    following = [*hosts[1:], hosts[0]]
    return [HostPair(client, server) for client, server in zip(hosts, following, strict=True)]
