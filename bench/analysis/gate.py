"""The statistics of a gate over many cells: corrections, drift, failures. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy import stats
from scipy.special import stdtrit

from bench.estimate import CONFIDENCE, Change, Floats, Ints, Logs, change
from bench.estimate.medians import exp

# A gate fires without cause in at most one comparison of twenty, over all its cells together.
LEVEL = 0.05
# What lasts longer than this makes of a run one single value, which no factor repairs.
_MOST_LASTING = 0.9


def holm(levels: Sequence[float]) -> list[float]:
    """Holm's step-down correction (1979): p-values to hold against one level for all together.

    Unlike a false discovery rate it bounds the chance that anything at all is called worse without
    cause, which is what lets a pipeline fail; and it asks for no independence of the cells, which
    share their baselines.
    """
    adjusted = [0.0] * len(levels)
    highest = 0.0
    for rank, place in enumerate(sorted(range(len(levels)), key=lambda at: levels[at])):
        highest = max(highest, min(1.0, levels[place] * (len(levels) - rank)))
        adjusted[place] = highest
    return adjusted


def drifting_change(base: Logs, new: Logs) -> Change:
    """The change of values that have no baseline to be divided by, in the order of the blocks.

    On a machine with neighbours a block resembles the one before, so that a run knows less than
    the number of its blocks says: the standard error is widened by what the more lasting of both
    runs calls for, sqrt((1 + r) / (1 - r)) with r the correlation of neighbouring blocks.
    """
    found = change(base, new)
    if found.ratio is None or found.se is None or found.df is None or found.ratio == 0:
        return found
    lasting = max(_lasting(base), _lasting(new))
    wider = (1 + lasting) / (1 - lasting)
    se, df = found.se * math.sqrt(wider), max(2.0, found.df / wider)
    middle, reach = math.log(found.ratio), float(stdtrit(df, (1 + CONFIDENCE) / 2)) * se
    low, high = exp(middle - reach), exp(middle + reach)
    if low is None or high is None:
        return Change(found.ratio)
    return replace(found, interval=(low, high), se=se, df=df)


def fails_more(good: int, bad: int, good_now: int, bad_now: int) -> float:
    """The one-sided p-value of Fisher's exact test that trials fail more often now."""
    if not bad_now:
        return 1.0
    found = stats.fisher_exact(np.array([[bad_now, good_now], [bad, good]]), alternative="greater")
    return float(found.pvalue)


def _lasting(logs: Logs) -> float:
    """The correlation of neighbouring blocks, from 0; corrected for few blocks (Kendall 1954).

    Host pairs take turns and differ: each value is taken from its pair's median.
    """
    rest = _around_medians(logs.values, logs.groups)
    square = float(rest @ rest)
    if rest.size < 3 or square == 0:
        return 0.0
    found = float(rest[:-1] @ rest[1:]) / square
    return min(_MOST_LASTING, max(0.0, found + (1 + 3 * found) / rest.size))


def _around_medians(values: Floats, groups: Ints | None) -> Floats:
    if groups is None:
        return values - np.median(values)
    rest = values.copy()
    for pair in np.unique(groups):
        rest[groups == pair] -= np.median(values[groups == pair])
    return rest
