"""Is there a step, a trend, or are there two levels in a series of numbers? Pure, robust."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr

from bench.analysis.flags.flag import FEWEST_TO_SPLIT, SMALLEST_LEVEL
from bench.estimate import Floats

# A side of a step has at least so many values: of fewer nothing can be said about their spread.
FEWEST_ASIDE = 3


@dataclass(frozen=True, slots=True)
class Change:
    """Two parts of a series that differ: ``at`` is the place (from 0) where the second begins.

    ``before`` and ``after`` are medians; ``p`` how likely a change this clear is by chance.
    """

    at: int
    before: float
    after: float
    p: float


@dataclass(frozen=True, slots=True)
class Levels:
    """Two groups of values: ``upper`` says of each value whether it is in the higher one."""

    upper: tuple[bool, ...]


def step(values: Floats) -> Change | None:
    """The clearest step of a series, however unclear; None below six values.

    It is where splitting leaves the least squares within both sides. Its p is that of Student's t
    between the sides, times the number of places that a step could have been at (Bonferroni): tests
    by ranks cannot get small with few blocks, however large the step is. Single wild values, which
    a step is not, make t smaller.
    """
    count = values.size
    if count < 2 * FEWEST_ASIDE or np.ptp(values) == 0:
        return None
    sizes, within = _splits(values, FEWEST_ASIDE)
    at = int(sizes[np.argmin(within)])
    before, after = values[:at], values[at:]
    p = min(1.0, _differ(before, after) * sizes.size)
    return Change(at, float(np.median(before)), float(np.median(after)), p)


def trend(values: Floats) -> Change | None:
    """How a series goes up or down, by Spearman's rank correlation with its order; None below six.

    ``before`` and ``after`` are the medians of its first and last third, ``at`` where that begins.
    """
    count, third = values.size, values.size // 3
    if count < 2 * FEWEST_ASIDE or np.ptp(values) == 0:
        return None
    ranks = np.argsort(np.argsort(values, kind="stable"), kind="stable")
    rho = float(np.corrcoef(ranks, np.arange(count))[0, 1])
    # As good as t with two degrees of freedom fewer, but never less likely than a perfect order.
    rest = max(1 - rho**2, 1e-12)
    p = max(
        _two_sided(rho * math.sqrt((count - 2) / rest), count - 2),
        2 * math.exp(-math.lgamma(count + 1)),
    )
    first, last = values[:third], values[-third:]
    return Change(count - third, float(np.median(first)), float(np.median(last)), p)


def levels(values: Floats) -> Levels | None:
    """The two groups that a series jumps between; None where it does not.

    The values are split in two so that the squares within are least (2-means, in one dimension
    exactly). The split's share of the whole variance is 0.64 for many normal values and 0.75 for
    uniform ones, whatever their number adds by chance; the bound lies above what one value in 200
    uniform series reaches (docs/flags.md has the simulation). A series that changes sides fewer
    than three times is a step or drift, not one with two levels.
    """
    count = values.size
    if count < FEWEST_TO_SPLIT or np.ptp(values) == 0:
        return None
    least = max(FEWEST_ASIDE, math.ceil(SMALLEST_LEVEL * count))
    ordered = np.sort(values)
    sizes, within = _splits(ordered, least)
    best = int(np.argmin(within))
    if 1 - within[best] / float(np.sum((values - np.mean(values)) ** 2)) < split_bound(count):
        return None
    upper = values >= ordered[sizes[best]]
    if np.count_nonzero(upper[1:] != upper[:-1]) < 3:
        return None
    return Levels(tuple(upper.tolist()))


def split_bound(count: int) -> float:
    """The share of the variance that splitting ``count`` values of one level hardly ever takes."""
    return 0.75 + 0.72 / math.sqrt(count + 2)


def holm(chances: list[float], level: float) -> list[bool]:
    """Which of several tests hold when one false alarm among all may have a chance of ``level``.

    Holm's step-down procedure (Scandinavian Journal of Statistics 6(2), 1979).
    """
    held = [False] * len(chances)
    for rank, place in enumerate(sorted(range(len(chances)), key=chances.__getitem__)):
        if chances[place] > level / (len(chances) - rank):
            break
        held[place] = True
    return held


def _splits(values: Floats, least: int) -> tuple[NDArray[np.int64], Floats]:
    """All sizes of a first part that leave ``least`` values on each side, and the sum of squares
    within both parts for each."""
    centred = values - np.mean(values)
    sums, squares = np.cumsum(centred), np.cumsum(centred**2)
    sizes = np.arange(least, values.size - least + 1)
    before = squares[sizes - 1] - sums[sizes - 1] ** 2 / sizes
    after = squares[-1] - squares[sizes - 1]
    after = after - (sums[-1] - sums[sizes - 1]) ** 2 / (values.size - sizes)
    return sizes, before + after


def _differ(before: Floats, after: Floats) -> float:
    """The p-value of Student's t; without any spread on either side, whether they are equal."""
    freedom = before.size + after.size - 2
    within = before.size * float(np.var(before)) + after.size * float(np.var(after))
    apart = float(np.mean(after) - np.mean(before))
    if within <= 0:
        return float(apart == 0)
    error = math.sqrt(within / freedom * (1 / before.size + 1 / after.size))
    return _two_sided(apart / error, freedom)


def _two_sided(t: float, freedom: int) -> float:
    # scipy.stats has whole tests, and takes longer to import than a report may to be made.
    return float(2 * stdtr(freedom, -abs(t)))
