"""How much real runs vary when nothing has changed, and how often the gate is wrong about them.

    .venv/bin/python -m benchmarks.repeated_runs [RUNS...] [--shuffles 200] [--write]

The runs are of two stretches, in each of which nothing was new on the hosts. Of each cell: its
spread from run to run, and what the change between the stretches made of it (bold where it is
credible for all cells together). Then the gates that raise a false alarm, over the first so many
runs of a stretch and over shuffled orders of it. Prints Markdown; with --write it replaces what
docs/regressions.md has.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.stats import ttest_ind

from bench.analysis.gate import holm
from bench.drivers import BASELINE
from bench.estimate import CONFIDENCE
from bench.history.gate import FEWEST_RUNS, gate, headlines, history
from bench.history.grids import treatment
from bench.history.machines import by_machine, what_changed
from bench.history.sequence import Measured, read, runs_at
from benchmarks.regressions import replace_between
from benchmarks.two_engines import unpacked

THRESHOLD = 0.05
MARKS = ("<!-- repeated runs -->\n", "<!-- end of repeated runs -->\n")


def stretches(runs: Sequence[Measured]) -> list[list[Measured]]:
    """The runs, parted where something was new on the hosts."""
    parts: list[list[Measured]] = []
    for run in runs:
        if not parts or what_changed(parts[-1][-1].info, run.info):
            parts.append([])
        parts[-1].append(run)
    return parts


@dataclass(frozen=True)
class Row:
    """A judged value in two stretches: how it varies from run to run in each, as the standard
    deviation of its logarithm, and after by before of it, up for worse, with its 95 % interval and
    its p-value (Welch's t-test of the runs' logarithms)."""

    cell: str
    metric: str
    spreads: tuple[float, float]
    times: float
    interval: tuple[float, float]
    p: float


def rows(before: Sequence[Measured], after: Sequence[Measured]) -> Iterator[Row]:
    """What is judged of the newest run, by cell and metric."""
    for cell, metric in headlines(after[-1], judge_baseline=True):
        old, new = (history(part, cell, metric)[0] for part in (before, after))
        test = ttest_ind(new, old, equal_var=False)
        low, high = test.confidence_interval(CONFIDENCE)
        yield Row(
            f"{treatment(cell)} {cell.placement}",
            f"{metric.title}{'' if cell.driver == BASELINE else ', next to host'}",
            (float(old.std(ddof=1)), float(new.std(ddof=1))),
            float(np.exp(new.mean() - old.mean())),
            (float(np.exp(low)), float(np.exp(high))),
            float(test.pvalue),
        )


def alarmed(runs: Sequence[Measured]) -> bool:
    """Whether the gate finds anything worse in runs among which nothing was new."""
    return bool(gate(runs, THRESHOLD, len(runs)).worse)


def tables(runs: Sequence[Measured], shuffles: int) -> Iterator[str]:
    """The page's two tables, of runs with one change among them."""
    parts = before, after = stretches(runs)
    engines = [part[0].info.hosts[0].engine.partition("+")[0] for part in parts]
    heads = [f"spread on {engine}" for engine in engines]
    yield f"| cell | metric | {' | '.join(heads)} | {engines[1]} by {engines[0]} |"
    yield "|---|---|---:|---:|---|"
    found = list(rows(before, after))
    for row, p in zip(found, holm([row.p for row in found]), strict=True):
        spreads = " | ".join(f"{one:.1%}" for one in row.spreads)
        times = f"{row.times:.2f} ({row.interval[0]:.2f} to {row.interval[1]:.2f})"
        sure = f"**{times}**" if p < 1 - CONFIDENCE else times
        yield f"| {row.cell} | {row.metric} | {spreads} | {sure} |"
    middle = [float(np.median([row.spreads[at] for row in found])) for at in (0, 1)]
    yield f"| *the middle one* | | {' | '.join(f'{one:.1%}' for one in middle)} | |"
    yield ""
    yield "| gates over runs with nothing new | gates | false alarms |"
    yield "|---|---:|---:|"
    firsts = [part[:count] for part in parts for count in range(FEWEST_RUNS, len(part) + 1)]
    wrong = sum(map(alarmed, firsts))
    yield f"| the first {FEWEST_RUNS} and more, in their order | {len(firsts)} | {wrong} |"
    random = np.random.default_rng(1)
    for part, engine in zip(parts, engines, strict=True):
        orders = [random.permutation(len(part)) for _ in range(shuffles)]
        wrong = sum(alarmed([part[at] for at in order]) for order in orders)
        yield f"| the {len(part)} on {engine}, shuffled | {shuffles} | {wrong} |"


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("runs", type=Path, nargs="*", help="by default those of docs/examples")
    options.add_argument("--shuffles", type=int, default=200)
    options.add_argument("--write", action="store_true")
    chosen = options.parse_args()
    with nullcontext() if chosen.runs else unpacked() as example:
        past = read(runs_at(chosen.runs or [example]))
    *_, newest = by_machine(past.runs).values()
    told = "\n".join(tables(newest, chosen.shuffles))
    print(told)
    if chosen.write:
        replace_between(*MARKS, told)


if __name__ == "__main__":
    main()
