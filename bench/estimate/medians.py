"""Medians, their bootstrap intervals, and ratios taken in pairs.

The bounds of the interval are percentiles of the resampled median, further out than 2.5 and 97.5:
a bootstrap of n values has the spread of n - 1 and knows nothing of Student's t, so that plain
percentiles are too narrow for few values. Hesterberg's expanded percentile interval makes up for
both (*What Teachers Should Know about the Bootstrap*, The American Statistician 69(4), 2015).
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from scipy.special import ndtr, stdtrit

from bench.estimate.bootstrap import Floats, Ints, median_quantiles

Range = tuple[float, float]

CONFIDENCE = 0.95
# Of one value or two nothing can be said about spread. From three on the interval is given; up to
# five it is the range of the values, whose real confidence `confidence` tells.
FEWEST = 3
# From six values on the range of the values holds the median with 95 % confidence and more.
FEWEST_TO_JUDGE = 6


def median(values: Floats) -> float | None:
    """The median, or None of nothing."""
    return float(np.median(values)) if values.size else None


def spread(values: Floats) -> float | None:
    """The interquartile range, in the values' unit; None below three values."""
    if values.size < FEWEST:
        return None
    low, high = np.quantile(values, (0.25, 0.75))
    return float(high - low)


def median_interval(values: Floats, groups: Ints | None = None) -> Range | None:
    """The 95 % bootstrap interval of the median, in the values' unit; None below three values.

    ``groups`` has a number for the host pair of each value; None says that all are of one.
    """
    if values.size < FEWEST:
        return None
    tail = _tail(values.size)
    low, high = median_quantiles(values, groups, (tail, 1 - tail))
    return low, high


def paired_ratio(
    values: Floats, baselines: Floats, groups: Ints | None = None
) -> tuple[float | None, Range | None]:
    """The median over blocks of value / baseline and its 95 % interval.

    It is computed on logarithms, so that twice as much and half as much weigh the same. When any
    value of any block is not above zero there is no ratio: leaving just those blocks out would
    move the result. ``groups`` as in `median_interval`.
    """
    logs = log_ratios(values, baselines)
    if not logs.size:
        return None, None
    ratio = exp(float(np.median(logs)))
    interval = median_interval(logs, groups)
    if ratio is None or interval is None:
        return ratio, None
    low, high = exp(interval[0]), exp(interval[1])
    return ratio, None if low is None or high is None else (low, high)


def log_ratios(values: Floats, baselines: Floats) -> Floats:
    """log(value / baseline) of each block; nothing at all when one of them is not above zero."""
    if bool(np.any(values <= 0)) or bool(np.any(baselines <= 0)):
        return np.empty(0)
    return np.log(values) - np.log(baselines)


def confidence(count: int) -> float:
    """How sure an interval of the median from ``count`` values can be at most, from 0 to 1.

    The range of n values misses the median when all lie on one side of it: 2 in 2^n.
    """
    return 0.0 if count < FEWEST else min(CONFIDENCE, 1 - 2.0 ** (1 - count))


@lru_cache(maxsize=1024)
def _tail(count: int) -> float:
    """The probability to leave on either side of the resampled medians of ``count`` values."""
    student = float(stdtrit(count - 1, (1 - CONFIDENCE) / 2))
    return float(ndtr(math.sqrt(count / (count - 1)) * student))


def exp(value: float) -> float | None:
    """The number e to the power of ``value``; None where no float holds it."""
    try:
        return math.exp(value)
    except OverflowError:
        return None
