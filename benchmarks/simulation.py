"""What intervals and verdicts are worth, on simulated machines of known truth: prints Markdown.

    .venv/bin/python -m benchmarks.simulation [RUNS]

The worlds are those of tests/unit/simulated.py; docs/method.md has the tables for 2,000 runs each.
"""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np

from tests.unit.simulated import (
    WORLDS,
    World,
    by_netbench,
    draining,
    in_blocks,
    of_these_pairs,
    one_after_the_other,
    unpaired,
    until_narrow,
    with_plain_percentiles,
)

BLOCKS = (6, 10, 20, 40)
DRIFT = WORLDS["drift"]


def per_cent(share: float) -> str:
    return f"{100 * share:.1f} %"


def table(*columns: str) -> None:
    print(f"\n| {' | '.join(columns)} |\n|---{'|---:' * (len(columns) - 1)}|")


def row(name: str, *figures: str) -> None:
    print(f"| {name} | {' | '.join(figures)} |", flush=True)


def one_pair(runs: int) -> None:
    table(
        *("machine, blocks", "interval held the truth", "false alarms"),
        *("5 % found", "10 % found", "half-width"),
    )
    for name, world in WORLDS.items():
        for blocks in BLOCKS:
            alike = by_netbench(in_blocks(world, 0.0, blocks, runs, seed=1))
            slower = [
                by_netbench(in_blocks(world, effect, blocks, runs, seed=2), effect)
                for effect in (np.log(0.95), np.log(0.9))
            ]
            row(
                f"{name}, {blocks}",
                *(per_cent(alike.held), per_cent(alike.told_apart)),
                *(per_cent(one.told_apart) for one in slower),
                f"±{per_cent(alike.width)}",
            )


def plain_percentiles(runs: int) -> None:
    table("blocks", "expanded percentiles held the truth", "plain percentiles")
    for blocks in (6, 7, 8, 9, 10, 12, 15, 20, 40):
        found = in_blocks(DRIFT, 0.0, blocks, runs, seed=6)
        row(str(blocks), per_cent(by_netbench(found).held), per_cent(with_plain_percentiles(found)))


def other_designs(runs: int) -> None:
    table("20 trials a cell", "interval held the truth", "false alarms", "10 % found")
    effect = float(np.log(0.9))
    for name, world in (("drift", DRIFT), ("credit runs out", World(draining))):
        alike, slower = (in_blocks(world, one, 20, runs, seed=3) for one in (0.0, effect))
        fixed = in_blocks(world, 0.0, 20, runs, seed=3, shuffled=False)
        fixed_slower = in_blocks(world, effect, 20, runs, seed=3, shuffled=False)
        ordered, ordered_slower = (
            one_after_the_other(world, one, 20, runs, seed=3) for one in (0.0, effect)
        )
        for design, found, power in (
            ("as netbench does", by_netbench(alike), by_netbench(slower)),
            ("blocks in a fixed order", by_netbench(fixed), by_netbench(fixed_slower)),
            ("blocks, but not paired", unpaired(alike), unpaired(slower)),
            ("one after the other", unpaired(ordered), unpaired(ordered_slower)),
        ):
            row(
                f"{name}: {design}",
                *(per_cent(found.held), per_cent(found.told_apart), per_cent(power.told_apart)),
            )


def several_pairs(runs: int) -> None:
    table(
        *("pairs, how they differ, blocks", "held the truth of these pairs"),
        *("of all such pairs", "half-width", "half-width if taken for one pair"),
    )
    for pairs in (2, 3, 5):
        for between in (0.0, 0.03, 0.1):
            for blocks in (10, 40):
                world = replace(DRIFT, pairs=pairs, between=between)
                found = in_blocks(world, 0.0, blocks, runs, seed=4)
                flat = replace(found, groups=np.zeros_like(found.groups))
                here, like = by_netbench(found, of_these_pairs(found)), by_netbench(found)
                row(
                    f"{pairs}, {per_cent(between)}, {blocks}",
                    *(per_cent(here.held), per_cent(like.held)),
                    *(f"±{per_cent(one.width)}" for one in (like, by_netbench(flat))),
                )


def stopped(runs: int) -> None:
    table("until ±5 %, of at most 60 blocks", "interval held the truth", "blocks (median)")
    for name, world in WORLDS.items():
        for pairs in (1, 3):
            found = in_blocks(replace(world, pairs=pairs), 0.0, 60, runs, seed=5)
            held, took = until_narrow(found, 0.05, 6)
            row(f"{name}, {pairs} {'pair' if pairs == 1 else 'pairs'}", per_cent(held), f"{took:g}")


def main() -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    one_pair(runs)
    plain_percentiles(runs)
    other_designs(runs)
    several_pairs(runs // 2)
    stopped(runs // 2)


if __name__ == "__main__":
    main()
