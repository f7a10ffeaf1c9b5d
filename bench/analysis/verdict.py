"""What a cell's ratio to the baseline comes to, in words that hold."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from bench.estimate import FEWEST_TO_JUDGE, Range, blocks_needed, half_width
from bench.model import Better, Metric
from bench.units import DASH, number, percent

# The half-width at which a cell counts as settled where the run has set none.
TARGET = 0.03


class Kind(StrEnum):
    """What can be said of a cell next to the baseline."""

    BASELINE = "baseline"
    WORSE = "worse"
    BETTER = "better"
    INDISTINGUISHABLE = "indistinguishable"
    NOISY = "noisy"
    FEW = "few"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Verdict:
    """A verdict and the numbers it rests on.

    ``target`` is the half-width, as a share, at which the run counts a cell as settled.
    """

    kind: Kind
    metric: Metric
    ratio: float | None
    interval: Range | None
    pairs: int
    target: float

    @property
    def words(self) -> str:
        """The verdict as it is shown; empty where there is none."""
        if self.kind is Kind.BASELINE:
            return "baseline"
        if self.kind is Kind.FEW:
            return f"too few blocks: {self.pairs} of {FEWEST_TO_JUDGE}"
        if self.ratio is None or self.interval is None:
            return ""
        if self.kind is Kind.INDISTINGUISHABLE:
            low, high = self.interval
            return f"indistinguishable: within {plus_minus(max(high, 1 / low) - 1)}"
        if self.kind is Kind.NOISY:
            more = self.more_blocks
            return (
                f"too noisy to tell: {width_text(half_width(self.ratio, self.interval))}; "
                f"about {about(more)} more {'block' if more == 1 else 'blocks'} would settle "
                f"{plus_minus(self.target)}"
            )
        return difference(self.metric, self.ratio, self.interval)

    @property
    def more_blocks(self) -> int:
        """How many blocks more would bring the interval to the target, by its present width."""
        if not self.ratio or self.interval is None or self.interval[0] <= 0:
            return 0
        width = half_width(self.ratio, self.interval)
        return blocks_needed(width, self.pairs, self.target) - self.pairs


def judge(
    metric: Metric,
    ratio: float | None,
    interval: Range | None,
    pairs: int,
    target: float | None = None,
    *,
    baseline: bool = False,
) -> Verdict:
    """The verdict on a cell whose paired ratio rests on ``pairs`` blocks.

    With fewer than six pairs there is none, as no method has a 95 % interval for so few. An
    interval that leaves 1 out says worse or better. One that holds 1 says indistinguishable if it
    is as narrow as the run asked for (``target``, 3 % where it asked for nothing), else too noisy.
    """
    wanted = target or TARGET

    def verdict(kind: Kind) -> Verdict:
        return Verdict(kind, metric, ratio, interval, pairs, wanted)

    if baseline:
        return verdict(Kind.BASELINE)
    if not ratio:
        return verdict(Kind.NONE)
    if pairs < FEWEST_TO_JUDGE:
        return verdict(Kind.FEW)
    if interval is None or interval[0] <= 0:
        return verdict(Kind.NONE)
    low, high = interval
    if low > 1 or high < 1:
        good = (low > 1) == (metric.better is Better.HIGHER)
        return verdict(Kind.BETTER if good else Kind.WORSE)
    settled = half_width(ratio, interval) <= wanted
    return verdict(Kind.INDISTINGUISHABLE if settled else Kind.NOISY)


def difference(metric: Metric, ratio: float, interval: Range) -> str:
    """How a ratio differs from 1: slower by 18 % (15-21 %), 2.3 times as slow (2.1-2.6).

    Times and rates are slower or faster, anything else is higher or lower. The digits follow the
    interval's width.
    """
    pace = metric.unit == "s" or metric.unit.endswith("/s")
    if ratio >= 2:
        word = "high" if not pace else "fast" if metric.better is Better.HIGHER else "slow"
        low, high = (_factor(bound) for bound in interval)
        return f"{_factor(ratio)} times as {word} ({low}{DASH}{high})"
    rises = ratio > 1
    faster = rises == (metric.better is Better.HIGHER)
    word = ("faster" if faster else "slower") if pace else ("higher" if rises else "lower")
    share = abs(ratio - 1) * 100
    near, far = sorted(abs(bound - 1) * 100 for bound in interval)
    digits = _digits(share, near, far)
    middle, low, high = (f"{one:.{digits}f}" for one in (share, near, far))
    return f"{word} by {middle} % ({low}{DASH}{high} %)"


def plus_minus(share: float) -> str:
    """A half-width as text: ±0.4 %, ±2.1 %, ±14 %."""
    return f"±{percent(share)}"


def width_text(share: float) -> str:
    """The half-width of a noisy ratio: ±14 %; from 100 % on, which no ratio can fall by, as a
    factor."""
    return plus_minus(share) if share < 1 else f"{number(1 + share, 2)} times either way"


def about(count: int) -> str:
    """A number with two leading digits, as nobody knows more of it."""
    return f"{round(count, min(0, 2 - len(str(count)))):,}"


def _factor(ratio: float) -> str:
    return f"{ratio:.1f}" if ratio < 9.95 else f"{ratio:,.0f}"


def _digits(middle: float, near: float, far: float) -> int:
    """How many decimals tell the bounds of an interval (in %) apart, and the nearer one from 0."""
    digits = 0
    while digits < 2 and far - near < 2 * 10.0**-digits:
        digits += 1
    if middle >= 9.95:
        # Nobody needs four digits of a percentage, however narrow its interval.
        digits = min(digits, 1)
    while digits < 2 and round(near, digits) == 0:
        digits += 1
    return digits
