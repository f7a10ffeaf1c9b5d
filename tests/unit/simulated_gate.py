"""The gate of `netbench compare` over simulated pairs of runs, with known truth.

`python -m tests.unit.simulated_gate` prints the table of docs/compare.md.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from bench.analysis.gate import LEVEL, drifting_change, holm
from bench.estimate import Logs, change, p_worse
from bench.model import Better

from .simulated import CELLS, WORLDS, Array, Random, World

THRESHOLD = 0.05


@dataclass(frozen=True)
class Truth:
    """What NEW really is next to BASE.

    ``effects`` are changes of single drivers (shares, by number from 1 to 7), ``all`` of all of
    them; ``today`` is how far the whole machine is from where it was, ``between`` the standard
    deviation of what moves each driver's ratio from run to run without any cause. ``sets`` is how
    many times (workloads by placements) the eight cells are there.
    """

    effects: Mapping[int, float] | None = None
    all: float = 0.0
    today: float = 0.0
    between: float = 0.0
    sets: int = 1


@dataclass(frozen=True)
class Gate:
    """One comparison: adjusted p-values of host and of the drivers, by set and number."""

    hosts: list[float]
    drivers: dict[tuple[int, int], float]

    @property
    def alarm(self) -> bool:
        return min(*self.hosts, *self.drivers.values()) < LEVEL


def one_run(world: World, blocks: int, random: Random) -> Array:
    """By block, the logarithms of eight cells that take turns in a random order; 0 is host."""
    state = world.state(random, 1, blocks * CELLS).reshape(blocks, CELLS)
    return random.permuted(state, axis=1) + world.noise(random, (blocks, CELLS))


def gate(world: World, truth: Truth, blocks: int, random: Random, *, hosts: bool = True) -> Gate:
    """Two runs, and what the gate makes of them; ``hosts`` judges host's own value too."""
    levels: dict[tuple[int, int], float] = {}
    for number in range(truth.sets):
        base, new = one_run(world, blocks, random), one_run(world, blocks, random)
        new += np.log1p(truth.today)
        new[:, 1:] += np.log1p(truth.all) + random.normal(0, truth.between, CELLS - 1)
        for driver, effect in (truth.effects or {}).items():
            new[:, driver] += np.log1p(effect)
        for cell in range(0 if hosts else 1, CELLS):
            if cell:
                found = change(Logs(base[:, cell] - base[:, 0]), Logs(new[:, cell] - new[:, 0]))
            else:
                found = drifting_change(Logs(base[:, 0]), Logs(new[:, 0]))
            p = p_worse(found, THRESHOLD, Better.HIGHER)
            assert p is not None
            levels[number, cell] = p
    adjusted = dict(zip(levels, holm(list(levels.values())), strict=True))
    return Gate(
        [p for (_, cell), p in adjusted.items() if not cell] or [1.0],
        {key: p for key, p in adjusted.items() if key[1]},
    )


def alarms(
    world: World, truth: Truth, blocks: int, runs: int, seed: int = 1, *, hosts: bool = True
) -> float:
    """The share of comparisons in which anything at all is called worse."""
    random = np.random.default_rng(seed)
    return sum(gate(world, truth, blocks, random, hosts=hosts).alarm for _ in range(runs)) / runs


def found(world: World, effect: float, blocks: int, runs: int, sets: int = 1) -> float:
    """The share of comparisons in which one driver that is worse by ``effect`` is called so."""
    random = np.random.default_rng(2)
    truth = Truth(effects={1: -effect}, sets=sets)
    return sum(gate(world, truth, blocks, random).drivers[0, 1] < LEVEL for _ in range(runs)) / runs


def main(runs: int = 300) -> None:
    say = sys.stdout.write
    say("| machine | blocks | nothing changed | all drivers at 5 % | found: 10 % | found: 20 % |\n")
    say("|---|---|---|---|---|---|\n")
    for name, world in WORLDS.items():
        for blocks in (6, 12, 24):
            shares = (
                alarms(world, Truth(sets=2), blocks, runs, hosts=False),
                alarms(world, Truth(all=-THRESHOLD, sets=2), blocks, runs, hosts=False),
                found(world, 0.1, blocks, runs, sets=2),
                found(world, 0.2, blocks, runs, sets=2),
            )
            say(f"| {name} | {blocks} | " + " | ".join(f"{one:.1%}" for one in shares) + " |\n")
            sys.stdout.flush()
    say("\nfrom run to run, nothing changed, calm, 12 blocks:\n")
    for between in (0.0, 0.01, 0.02, 0.03):
        share = alarms(WORLDS["calm"], Truth(between=between, sets=2), 12, runs, hosts=False)
        say(f"| {between:.0%} | {share:.1%} |\n")
    say("\nhost's own value judged too, nothing changed, 12 blocks:\n")
    for name, world in WORLDS.items():
        shares = (alarms(world, Truth(sets=2), blocks, runs) for blocks in (6, 12, 24))
        say(f"| {name} | " + " | ".join(f"{one:.1%}" for one in shares) + " |\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
