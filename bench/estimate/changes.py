"""From one run to another: how a median changed, and how surely it is worse."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtr, stdtrit

from bench.estimate.bootstrap import Floats, Ints
from bench.estimate.medians import CONFIDENCE, FEWEST, Range, exp, median_interval
from bench.model import Better


@dataclass(frozen=True, slots=True, eq=False)
class Logs:
    """Natural logarithms of values (or of paired ratios), one a block.

    ``groups`` has a number for the host pair of each; None says that all are of one.
    """

    values: Floats
    groups: Ints | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """How the median of a new run stands to that of a base run.

    ``ratio`` is new / base; ``interval`` its unadjusted 95 % interval; ``se`` the standard error of
    the ratio's logarithm, with ``df`` degrees of freedom. What cannot be had is None: the ratio
    where one run has no values, the rest where one has fewer than three.
    """

    ratio: float | None
    interval: Range | None = None
    se: float | None = None
    df: float | None = None


def change(base: Logs, new: Logs) -> Change:
    """The change between two runs that know nothing of each other.

    Each run's standard error is the half-width of its bootstrap interval by the t that this
    interval stands for; they add as squares, with the degrees of freedom of Welch and
    Satterthwaite.
    """
    if not base.values.size or not new.values.size:
        return Change(None)
    difference = float(np.median(new.values)) - float(np.median(base.values))
    ratio = exp(difference)
    errors = [_standard_error(one) for one in (base, new)]
    if ratio is None or errors[0] is None or errors[1] is None:
        return Change(ratio)
    squares = [error**2 for error in errors if error is not None]
    freedom = [one.values.size - 1 for one in (base, new)]
    total = sum(squares)
    df = float(sum(freedom))
    if total > 0:
        shares = [square / total for square in squares]
        df = 1 / sum(share**2 / free for share, free in zip(shares, freedom, strict=True))
    se = math.sqrt(total)
    reach = float(stdtrit(df, (1 + CONFIDENCE) / 2)) * se
    low, high = exp(difference - reach), exp(difference + reach)
    interval = None if low is None or high is None else (low, high)
    return Change(ratio, interval, se, df)


def p_worse(found: Change, threshold: float, better: Better) -> float | None:
    """The one-sided p-value against "not worse than by ``threshold``" (a share); None if unknown.

    Worse by 5 % is 0.95 of a metric that should be high, 1.05 of one that should be low.
    """
    if found.ratio is None or found.se is None or found.df is None or found.ratio == 0:
        return None
    higher = better is Better.HIGHER
    beyond = math.log(found.ratio) - math.log1p(-threshold if higher else threshold)
    excess = -beyond if higher else beyond
    if found.se == 0:
        # Nothing but rounding is in the way of certainty.
        return 0.0 if excess > 1e-12 else 1.0
    return float(stdtr(found.df, -excess / found.se))


def _standard_error(logs: Logs) -> float | None:
    interval = median_interval(logs.values, logs.groups)
    if interval is None:
        return None
    count = logs.values.size
    assert count >= FEWEST
    return (interval[1] - interval[0]) / 2 / float(stdtrit(count - 1, (1 + CONFIDENCE) / 2))
