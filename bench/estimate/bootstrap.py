"""The bootstrap distribution of a median, without drawing every value of every resample.

With several host pairs the bootstrap is hierarchical: a resample draws host pairs with replacement,
then within each drawn pair as many of its blocks, with replacement (Davison & Hinkley, *Bootstrap
Methods and their Application*, 1997, section 3.8). Three ways to the same distribution, by what
they cost:

- One pair: the median of a resample is one order statistic of ``n`` draws (or the mean of two), and
  order statistics of uniform numbers have a known (Beta) distribution. So the resamples' medians
  are drawn directly, at the same cost for 5 values as for 50,000.
- Several pairs, up to `DRAWN` values: how often each value is drawn, kept for the next array of
  the same shape.
- Several pairs, more values: the pairs are drawn; given those, the number of draws at or below a
  value is a sum of binomials, which at this size is normal as near as matters, and the median lies
  below the value when that number passes a half.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

SEED = 20_240_229
RESAMPLES = 10_000
# Of host pairs and the blocks in them; each costs more than one of blocks alone.
NESTED_RESAMPLES = 4_000
# Up to so many values all draws of a nested resample are made.
DRAWN = 60


def median_quantiles(
    values: Floats, groups: Ints | None, probabilities: tuple[float, ...]
) -> tuple[float, ...]:
    """Quantiles of the resampled median of ``values``, in their unit.

    ``groups`` has the host pair of each value; None says that all are of one. The same values give
    the same result, whatever their order.
    """
    parts = _parts(values, groups)
    if len(parts) > 1 and values.size > DRAWN:
        return tuple(_passed(parts, wanted) for wanted in probabilities)
    medians = _drawn(parts) if len(parts) > 1 else _ordered(parts[0])
    return tuple(float(found) for found in np.quantile(medians, probabilities))


def _parts(values: Floats, groups: Ints | None) -> list[Floats]:
    """Each group's values, sorted; the groups by size, so that like shapes meet in the cache."""
    if groups is None:
        return [np.sort(values)]
    parts = [np.sort(values[groups == label]) for label in np.unique(groups)]
    return sorted(parts, key=lambda part: (part.size, *part[:1]))


def _ordered(ordered: Floats) -> Floats:
    """The medians of resamples of sorted values."""
    lower, upper = _ranks(ordered.size)
    # Halved before they are added: two values near the largest float must not become infinite.
    return ordered[lower] / 2 + ordered[upper] / 2


@lru_cache(maxsize=64)
def _ranks(count: int) -> tuple[Ints, Ints]:
    """The ranks (from 0) whose mean is the median, for each resample of ``count`` values."""
    draw = np.random.default_rng(SEED)
    middle = (count + 1) // 2
    lower = draw.beta(middle, count - middle + 1, RESAMPLES)
    upper = lower
    if count % 2 == 0:
        # What lies above the lower one is uniform up to 1, and the upper one is its smallest.
        upper = lower + (1 - lower) * draw.beta(1, count - middle, RESAMPLES)
    return _rank(lower, count), _rank(upper, count)


def _rank(uniform: Floats, count: int) -> Ints:
    return np.minimum((uniform * count).astype(np.int64), count - 1)


def _drawn(parts: list[Floats]) -> Floats:
    """The medians of nested resamples, all values drawn."""
    values = np.concatenate(parts)
    order = np.argsort(values)
    upto = _times(tuple(part.size for part in parts))[order].cumsum(axis=0, dtype=np.int16)
    total = upto[-1]
    lower = (upto < (total + 1) // 2).sum(axis=0)
    upper = (upto < total // 2 + 1).sum(axis=0)
    ordered = values[order]
    return np.asarray(ordered[lower] / 2 + ordered[upper] / 2, dtype=np.float64)


@lru_cache(maxsize=64)
def _times(sizes: tuple[int, ...]) -> NDArray[np.int16]:
    """How often each value (rows) is drawn in each resample of groups of these sizes (columns)."""
    draw = np.random.default_rng(SEED)
    pairs = draw.multinomial(len(sizes), _even(len(sizes)), NESTED_RESAMPLES)
    drawn = [
        draw.multinomial(pairs[:, place] * size, _even(size)) for place, size in enumerate(sizes)
    ]
    return np.ascontiguousarray(np.concatenate(drawn, axis=1).T, dtype=np.int16)


def _even(count: int) -> Floats:
    return np.full(count, 1 / count)


def _passed(parts: list[Floats], wanted: float) -> float:
    """The smallest value that the resampled median does not exceed with probability ``wanted``."""
    ordered = np.sort(np.concatenate(parts))
    low, high = 0, ordered.size - 1
    while low < high:
        middle = (low + high) // 2
        if _at_or_below(parts, float(ordered[middle])) >= wanted:
            high = middle
        else:
            low = middle + 1
    return float(ordered[low])


def _at_or_below(parts: list[Floats], value: float) -> float:
    """The probability that the resampled median is not above ``value``."""
    pairs, weights = _pairs(len(parts))
    sizes = np.array([part.size for part in parts], dtype=np.float64)
    below = np.array([np.searchsorted(part, value, side="right") for part in parts]) / sizes
    excess = pairs @ (sizes * (below - 0.5))
    deviation = np.sqrt(pairs @ (sizes * below * (1 - below)))
    # Without deviation the count is certain: above a half, below it, or exactly there.
    certain = np.where(excess == 0, 0.0, np.copysign(np.inf, excess))
    score = np.divide(excess, deviation, out=certain, where=deviation > 0)
    return float(weights @ ndtr(score))


@lru_cache(maxsize=64)
def _pairs(count: int) -> tuple[Floats, Floats]:
    """How often each of ``count`` pairs is drawn, as distinct rows, and the rows' frequencies."""
    draws = np.random.default_rng(SEED).multinomial(count, _even(count), NESTED_RESAMPLES)
    rows, times = np.unique(draws, axis=0, return_counts=True)
    return rows.astype(np.float64), times / NESTED_RESAMPLES
