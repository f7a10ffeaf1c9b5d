"""How wide an interval of a ratio is, what would narrow it, and what hides in it.

Everything is on the log scale: an interval from half to twice a ratio is even.
"""

from __future__ import annotations

import math

from scipy.special import ndtri, stdtrit

from bench.estimate.medians import CONFIDENCE, Range

POWER = 0.8


def half_width(ratio: float, interval: Range) -> float:
    """How far the farther bound is from the ratio, as a share: 0.03 for a bound at 1.03 x ratio."""
    low, high = interval
    return max(high / ratio, ratio / low) - 1


def blocks_needed(width: float, pairs: int, target: float) -> int:
    """How many pairs in all would bring a half-width from ``width`` to ``target`` (shares).

    Widths of n pairs go with t / sqrt(n - 1), the reach of `median_interval`: with the square root
    of the number, and faster while there are few. What is narrow enough needs no more.
    """
    wider = math.log1p(width) / math.log1p(target)
    goal = _reach(pairs) / wider if wider > 0 else math.inf
    low, high = pairs, max(pairs, math.ceil(max(pairs - 1, 1) * wider**2) + 2)
    while low < high:
        middle = (low + high) // 2
        if _reach(middle) <= goal * (1 + 1e-9):
            high = middle
        else:
            low = middle + 1
    return low


def width_after(width: float, pairs: int, others: int) -> float:
    """The half-width to expect of ``others`` pairs where ``pairs`` gave ``width`` (shares)."""
    return math.expm1(math.log1p(width) * _reach(others) / _reach(pairs))


def _reach(pairs: int) -> float:
    """How far an interval of so many pairs reaches, next to one of others with as much noise."""
    free = max(pairs - 1, 1)
    return float(stdtrit(free, (1 + CONFIDENCE) / 2)) / math.sqrt(free)


def smallest_effect(ratio: float, interval: Range) -> float:
    """The effect that as many blocks with as much noise would find in 80 % of runs, as a share.

    "Find" means an interval that leaves 1 out; 1.96 standard errors are its half-width, and to
    find an effect with 80 % probability takes 1.96 + 0.84 of them.
    """
    sure = float(ndtri((1 + CONFIDENCE) / 2))
    return math.expm1(math.log1p(half_width(ratio, interval)) * (sure + float(ndtri(POWER))) / sure)
