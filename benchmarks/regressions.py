"""How often a gate over many nights raises a false alarm, and which steps it finds: netbench's rule
beside `asv compare` of the last two runs and the step detection of `asv publish`. Prints Markdown.

    .venv/bin/python benchmarks/regressions.py [GATES] [--write]

With --write the tables replace those in docs/regressions.md. The figures there are for 300 gates
each. A gate has 32 series (four drivers, two placements, two workloads: 8 of throughput, 24 of
HTTP), 27 nights and then three more; a run has 12 blocks, whose noise in a ratio is 4 %.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from asv._stats import get_weight
from asv.commands.compare import _is_result_better
from asv.step_detect import detect_regressions, detect_steps
from asv_runner.statistics import compute_stats
from numpy.typing import NDArray

from bench.analysis.gate import holm
from bench.history.gate import LEVEL
from bench.history.steps import scan

Array = NDArray[np.float64]
Rule = Callable[["Nights"], list[bool]]

SERIES = 32
BEFORE, AFTER = 27, 3
BLOCKS = 12
NOISE = 0.04
THRESHOLD = 0.05
FACTOR = 1.1
SPREADS = (0.0, 0.02, 0.05)
STEPS = (0.05, 0.1, 0.2)
MARKS = ("<!-- simulation -->\n", "<!-- end of simulation -->\n")
DOCUMENT = Path(__file__).parents[1] / "docs" / "regressions.md"


@dataclass(frozen=True)
class Nights:
    """By series, run and block, how many times host's time was taken."""

    values: Array

    @property
    def medians(self) -> Array:
        return np.asarray(np.median(self.values, axis=2))

    def until(self, run: int) -> Nights:
        return Nights(self.values[:, :run])


@dataclass(frozen=True)
class World:
    """How runs differ without cause, as a standard deviation of logarithms: ``spread``; ``unlike``
    has series of half and double that, ``together`` all series of a run move alike, ``lasting``
    correlates a run with the one before, ``heavy`` has Student's t with 3 degrees of freedom,
    ``before`` is how many runs there are before the step."""

    spread: float
    unlike: bool = False
    together: bool = False
    lasting: float = 0.0
    heavy: bool = False
    before: int = BEFORE

    def nights(self, random: np.random.Generator, step: float = 0.0) -> Nights:
        """The first series is slower by ``step`` in the last three runs: of a rate, that share."""
        shape = (1 if self.together else SERIES, self.before + AFTER)
        moves = (
            random.standard_t(3, shape) / math.sqrt(3) if self.heavy else random.normal(0, 1, shape)
        )
        for run in range(1, shape[1]):
            fresh = math.sqrt(1 - self.lasting**2)
            moves[:, run] = self.lasting * moves[:, run - 1] + fresh * moves[:, run]
        spreads = np.full((SERIES, 1), self.spread)
        if self.unlike:
            spreads[1::2], spreads[2::2] = 2 * self.spread, self.spread / 2
        levels = spreads * moves
        levels[0, self.before :] -= math.log1p(-step)
        noise = random.normal(0, NOISE, (SERIES, self.before + AFTER, BLOCKS))
        return Nights(np.exp(levels[:, :, None] + noise))


def netbench(nights: Nights) -> list[bool]:
    """The rule of `netbench asv gate`."""
    steps = scan([*np.log(nights.medians)])
    found = [step for step in steps if step is not None]
    least = -math.log1p(-THRESHOLD)
    return [
        p < LEVEL and step.change > max(least, step.reach)
        for step, p in zip(found, holm([step.p for step in found]), strict=True)
    ]


def compare(nights: Nights) -> list[bool]:
    """`asv compare` of the newest run with the one before, with its own factor and test."""
    return [_is_result_better(*_both(series[-2], series[-1]), FACTOR) for series in nights.values]


def publish(nights: Nights) -> list[bool]:
    """A regression that `asv publish` would list in one of the three newest runs."""
    found = []
    for series in nights.values:
        results = [compute_stats(list(blocks), 1) for blocks in series]
        steps = detect_steps([one for one, _ in results], [get_weight(one) for _, one in results])
        _, _, jumps = detect_regressions(steps, THRESHOLD)
        found.append(any(right >= len(series) - AFTER for _, right, _, _ in jumps or ()))
    return found


RULES: dict[str, Rule] = {
    "`netbench asv gate`": netbench,
    "`asv compare`": compare,
    "`asv publish`": publish,
}


def _both(before: Array, after: Array) -> tuple[Any, ...]:
    told = [compute_stats(list(one), 1) for one in (before, after)]
    pairs = [(stats, list(one)) for (_, stats), one in zip(told, (before, after), strict=True)]
    return told[0][0], told[1][0], pairs[0], pairs[1]


def alarms(rule: Rule, world: World, gates: int) -> float:
    """The share of gates over nothing new in which anything at all is called worse."""
    random = np.random.default_rng(1)
    return sum(any(rule(world.nights(random))) for _ in range(gates)) / gates


def found(rule: Rule, world: World, step: float, gates: int) -> tuple[float, float]:
    """The shares of steps found by the first and by the third gate after it."""
    random = np.random.default_rng(2)
    first = third = 0
    for _ in range(gates):
        nights = world.nights(random, step)
        if rule is not netbench:
            # asv looks at each series by itself: the others would take their time for nothing.
            nights = Nights(nights.values[:1])
        hits = [rule(nights.until(world.before + after))[0] for after in range(1, AFTER + 1)]
        first += hits[0]
        third += any(hits)
    return first / gates, third / gates


def tables(gates: int) -> Iterator[str]:
    columns = [f"{step:.0%} slower: first, third" for step in STEPS]
    yield f"| rule | spread | false alarms a gate | {' | '.join(columns)} |"
    yield "|---|---|---" + "|---" * len(STEPS) + "|"
    for name, rule in RULES.items():
        for spread in SPREADS:
            world = World(spread)
            shares = [found(rule, world, step, gates) for step in STEPS]
            cells = [f"{alarms(rule, world, gates):.1%}"]
            cells += [f"{first:.0%}, {third:.0%}" for first, third in shares]
            yield f"| {name} | {spread:.0%} | {' | '.join(cells)} |"
    yield ""
    yield "| spread of 5 % that | false alarms a gate | 20 % slower: first, third |"
    yield "|---|---|---|"
    for name, world in {
        "all series have alike": World(0.05),
        "is half and double in other series": World(0.05, unlike=True),
        "all series of a run share": World(0.05, together=True),
        "has heavy tails": World(0.05, heavy=True),
        "lasts: correlation 0.3 from run to run": World(0.05, lasting=0.3),
        "lasts: correlation 0.6": World(0.05, lasting=0.6),
        "is seen in 12 nights before": World(0.05, before=12),
        "is seen in 6 nights before": World(0.05, before=6),
    }.items():
        first, third = found(netbench, world, 0.2, gates)
        yield f"| {name} | {alarms(netbench, world, 4 * gates):.1%} | {first:.0%}, {third:.0%} |"


def replace_between(begin: str, end: str, told: str) -> None:
    """Put ``told`` between two marks of the page."""
    text = DOCUMENT.read_text(encoding="utf-8")
    before, found, rest = text.partition(begin)
    _, ended, after = rest.partition(end)
    if not (found and ended):
        raise SystemExit(f"{DOCUMENT}: the mark {begin.strip()} or {end.strip()} is not there")
    DOCUMENT.write_text(f"{before}{begin}\n{told}\n\n{end}{after}", encoding="utf-8")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("gates", type=int, nargs="?", default=100)
    options.add_argument("--write", action="store_true")
    chosen = options.parse_args()
    lines = []
    for line in tables(chosen.gates):
        print(line, flush=True)
        lines.append(line)
    if chosen.write:
        replace_between(*MARKS, "\n".join(lines))


if __name__ == "__main__":
    main()
