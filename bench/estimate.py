"""Medians, their bootstrap intervals, and ratios taken in pairs. Pure numpy, seeded.

The interval is the percentile bootstrap of the median. The median of a resample is one order
statistic of ``n`` draws with replacement (or the mean of two), and order statistics of uniform
numbers have a known (Beta) distribution: so the resamples' medians are drawn directly, from the
very distribution that drawing and sorting ``n`` values each time would give. That costs the same
for 5 values and for 50,000.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Range = tuple[float, float]

CONFIDENCE = 0.95
RESAMPLES = 10_000
SEED = 20_240_229
# Of one value or two nothing can be said about spread. From three on the interval is given; up to
# five it is the range of the values, whose real confidence `confidence` tells.
FEWEST = 3


def median(values: Floats) -> float | None:
    """The median, or None of nothing."""
    return float(np.median(values)) if values.size else None


def spread(values: Floats) -> float | None:
    """The interquartile range, in the values' unit; None below three values."""
    if values.size < FEWEST:
        return None
    low, high = np.quantile(values, (0.25, 0.75))
    return float(high - low)


def median_interval(values: Floats) -> Range | None:
    """The 95 % percentile-bootstrap interval of the median; None below three values."""
    if values.size < FEWEST:
        return None
    ordered = np.sort(values)
    lower, upper = _ranks(values.size)
    # Halved before they are added: two values near the largest float must not become infinite.
    medians = ordered[lower] / 2 + ordered[upper] / 2
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(medians, (tail, 1 - tail))
    return float(low), float(high)


def paired_ratio(values: Floats, baselines: Floats) -> tuple[float | None, Range | None]:
    """The median over pairs of value / baseline and its 95 % interval.

    It is computed on logarithms, so that twice as much and half as much weigh the same. When any
    value of any pair is not above zero there is no ratio: leaving just those pairs out would move
    the result.
    """
    if not values.size or bool(np.any(values <= 0)) or bool(np.any(baselines <= 0)):
        return None, None
    logs = np.log(values) - np.log(baselines)
    ratio = _exp(float(np.median(logs)))
    interval = median_interval(logs)
    if ratio is None or interval is None:
        return ratio, None
    low, high = _exp(interval[0]), _exp(interval[1])
    return ratio, None if low is None or high is None else (low, high)


def confidence(count: int) -> float:
    """How sure an interval of the median from ``count`` values can be at most, from 0 to 1.

    The range of n values misses the median when all lie on one side of it: 2 in 2^n.
    """
    return 0.0 if count < FEWEST else min(CONFIDENCE, 1 - 2.0 ** (1 - count))


@lru_cache(maxsize=256)
def _ranks(count: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The ranks (from 0) whose mean is the median, for each resample of ``count`` values."""
    draw = np.random.default_rng(SEED)
    middle = (count + 1) // 2
    lower = draw.beta(middle, count - middle + 1, RESAMPLES)
    upper = lower
    if count % 2 == 0:
        # What lies above the lower one is uniform up to 1, and the upper one is its smallest.
        upper = lower + (1 - lower) * draw.beta(1, count - middle, RESAMPLES)
    return _rank(lower, count), _rank(upper, count)


def _rank(uniform: Floats, count: int) -> NDArray[np.int64]:
    return np.minimum((uniform * count).astype(np.int64), count - 1)


def _exp(value: float) -> float | None:
    """The number e to the power of ``value``; None where no float holds it."""
    try:
        return math.exp(value)
    except OverflowError:
        return None
