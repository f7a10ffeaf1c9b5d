"""How much cells vary from run to run, each estimate helped by the others.

Twenty runs tell a variance to a third, and of two hundred cells some look far calmer than they are:
a gate that took each by itself would have to be blunt to be quiet. So each cell's variance is drawn
towards what all have in common, the more the more alike they are: the moderated variance of Smyth
(*Linear Models and Empirical Bayes Methods for Assessing Differential Expression in Microarray
Experiments*, Statistical Applications in Genetics and Molecular Biology 3(1), 2004).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import digamma, polygamma

from bench.estimate import Floats

# What the others know counts for at most so many times what a cell knows of itself: cells share
# hosts and baselines, so that they agree more than they know.
MOST_HELP = 3.0
# Below this share of the larger ones a variance is rounding.
_TINY = 1e-12


@dataclass(frozen=True, slots=True)
class Common:
    """What all cells have in common: a ``variance``, and how many degrees of freedom it is worth
    to each."""

    variance: float
    df: float

    def moderated(self, own: Floats, df: Floats) -> tuple[Floats, Floats]:
        """Each cell's variance with the others' help, and its degrees of freedom."""
        helped = np.minimum(self.df, MOST_HELP * df)
        total = helped + df
        return (helped * self.variance + df * own) / total, total


def common(variances: Floats, df: Floats) -> Common:
    """What ``variances`` of many cells, each with its ``df``, have in common (Smyth 2004, 6.2)."""
    largest = float(variances.max(initial=0.0))
    good = variances > _TINY * largest
    if largest == 0 or np.count_nonzero(good) < 3:
        return Common(float(np.median(variances)) if variances.size else 0.0, 0.0)
    half = df[good] / 2
    logs = np.log(variances[good]) - digamma(half) + np.log(half)
    mean = float(logs.mean())
    excess = float(logs.var(ddof=1) - polygamma(1, half).mean())
    if excess <= 0:
        return Common(math.exp(mean), math.inf)
    found = 2 * _inverse_trigamma(excess)
    return Common(math.exp(mean + float(digamma(found / 2)) - math.log(found / 2)), found)


def successive(values: Floats) -> tuple[Floats, Floats]:
    """The variance of each row by the differences of neighbours, which a step in it hardly moves,
    and its degrees of freedom (von Neumann 1941)."""
    count = values.shape[1]
    squares = np.diff(values, axis=1) ** 2
    df = 2 * (count - 1) ** 2 / (3 * count - 4)
    return squares.mean(axis=1) / 2, np.full(values.shape[0], df)


def _inverse_trigamma(value: float) -> float:
    """The x whose trigamma is ``value``, by Newton's method on 1 / trigamma (Smyth 2004)."""
    if value > 1e7:
        return 1 / math.sqrt(value)
    if value < 1e-6:
        return 1 / value
    found = 0.5 + 1 / value
    for _ in range(50):
        tri = float(polygamma(1, found))
        step = tri * (1 - tri / value) / float(polygamma(2, found))
        found += step
        if abs(step) < 1e-10 * found:
            break
    return found
