"""Whether the newest values of many histories are credibly above those before them. Pure.

A history is a cell's value in each run, as a logarithm, with up for worse. The newest 1, 2, 3, 5, 8
and 13 runs are each held against the ones before them, by a t-test with a moderated variance (see
`bench.history.variances`): a large step shows in one run, a small one when it has lasted. What is
tried is paid for (Bonferroni over the splits). Why this rule: docs/regressions.md.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from scipy.special import stdtr, stdtrit

from bench.estimate import CONFIDENCE, Floats, Ints
from bench.history.variances import Common, common, successive

NEWEST = (1, 2, 3, 5, 8, 13)
FEWEST_BEFORE = 5
# An earlier change ends what counts as "before" when it is as sure as this; each side of it has
# this many runs at least.
EARLIER = 1e-3
SHORTEST = 3
# What lies after an earlier change is held against so many values just before it, and against all:
# a fall that was mended again is a bump, which shows only next to itself.
JUST_BEFORE = (3, 8, 10_000)
# The newest run has to be on the new level itself, at least this share of the way there: a fault
# that was mended yesterday is no news today.
STILL = 0.25
# And of the newest most have to be, this share of the way there: one bad night among them, however
# bad, makes no level.
MOSTLY = 0.5
# Of one night or two nothing tells whether they are such: their tests allow for heavy tails, by
# degrees of freedom.
TAILS = {1: 6.0, 2: 12.0}
# What lasts longer than this from run to run makes of them one single value.
MOST_LASTING = 0.9
_LEAST = 1e-300
# A t that is lower is never as sure as EARLIER asks, by whatever degrees of freedom.
_NOT_SURE = 3.5
# A step that is likelier chance than this need not be placed to the very run.
WORTH_A_LOOK = 0.05


@dataclass(frozen=True, slots=True)
class Step:
    """The best supported step up of a history, if it is one.

    ``newest`` is how many values are after it, ``before`` how many it was held against; ``change``
    is the difference of their means, in the histories' unit, with its 95 % interval's half-width
    ``reach``; ``p`` the one-sided p-value against no change, paid for all that was tried.
    """

    newest: int
    before: int
    change: float
    reach: float
    p: float


def scan(histories: Sequence[Floats]) -> list[Step | None]:
    """A step for each history, None where it is too short: fewer than six values."""
    found: list[Step | None] = [None] * len(histories)
    shared = _shared(histories)
    for places in _alike(histories):
        values = np.stack([histories[place] for place in places])
        for place, step in zip(places, _Scan(values, shared).steps(), strict=True):
            found[place] = step
    return found


def _alike(histories: Sequence[Floats]) -> Iterator[list[int]]:
    """The places of histories of one length, which can be gone through together."""
    sizes: dict[int, list[int]] = {}
    for place, history in enumerate(histories):
        sizes.setdefault(history.size, []).append(place)
    return (places for size, places in sizes.items() if size > FEWEST_BEFORE)


def _shared(histories: Sequence[Floats]) -> Common:
    parts = [
        successive(np.stack([histories[place] for place in places])) for places in _alike(histories)
    ]
    if not parts:
        return Common(0.0, 0.0)
    return common(
        np.concatenate([variance for variance, _ in parts]), np.concatenate([df for _, df in parts])
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Tests:
    """t-tests of one split, a row each: the change of means, its standard error, its df, t."""

    change: Floats
    se: Floats
    df: Floats

    @property
    def t(self) -> Floats:
        # Histories without any variance: any change is sure, and none is none.
        return np.asarray(self.change / np.maximum(self.se, _LEAST))

    @property
    def p(self) -> Floats:
        """One-sided, for a change upwards."""
        return np.asarray(stdtr(self.df, -self.t), dtype=np.float64)


class _Scan:
    """Histories of one length, by row."""

    def __init__(self, values: Floats, shared: Common) -> None:
        self.values = values
        self.shared = shared
        centred = values - np.median(values, axis=1, keepdims=True)
        zero = np.zeros((values.shape[0], 1))
        self.sums = np.hstack([zero, centred.cumsum(axis=1)])
        self.squares = np.hstack([zero, (centred**2).cumsum(axis=1)])
        self.rows = np.arange(values.shape[0])

    def steps(self) -> list[Step]:
        most = self.values.shape[1] - FEWEST_BEFORE
        tried = {newest: self.newest(newest) for newest in NEWEST if newest <= most}
        paid = len(tried) * np.min([tests.p for tests, _ in tried.values()], axis=0)
        if paid.min() < WORTH_A_LOOK:
            between = set(range(1, max(tried))) - set(tried)
            tried |= {newest: self.newest(newest) for newest in between}
        heights = np.stack([tests.t for tests, _ in tried.values()])
        chosen = [list(tried)[place] for place in heights.argmax(axis=0)]
        return [
            self.step(row, newest, *tried[newest], p=min(1.0, float(paid[row])))
            for row, newest in enumerate(chosen)
        ]

    def step(self, row: int, newest: int, tests: _Tests, begin: Ints, *, p: float) -> Step:
        before = self.values.shape[1] - newest - int(begin[row])
        change, se, df = (float(one[row]) for one in (tests.change, tests.se, tests.df))
        level = float(self.values[row, begin[row] : -newest].mean())
        after = np.sort(self.values[row, -newest:]) - level
        still = float(self.values[row, -1]) - level >= STILL * change
        mostly = float(after[(newest - 1) // 2]) >= MOSTLY * change
        reach = float(stdtrit(df, (1 + CONFIDENCE) / 2)) * se
        return Step(newest, before, change, reach, p if still and mostly else 1.0)

    def newest(self, newest: int) -> tuple[_Tests, Ints]:
        """The newest values against those before, and where these begin, by row."""
        end = self.values.shape[1] - newest
        begin = np.zeros(self.rows.size, np.int64)
        while (found := self.after_change(begin, end)).any():
            begin = np.where(found > 0, found, begin)
        lasting = self.lasting(begin, end)
        tests = self.split(begin, end, self.values.shape[1], 1 / (1 - lasting))
        wider = (1 + lasting) / (1 - lasting)
        df = np.minimum(np.maximum(2.0, tests.df / wider), TAILS.get(newest, math.inf))
        return _Tests(tests.change, tests.se * math.sqrt(wider), df), begin

    def lasting(self, begin: Ints, end: int) -> float:
        """The correlation of a run with the one before, from 0: that of most cells, as they share
        their hosts. Corrected for few runs (Kendall 1954)."""
        counts = end - begin
        inside = np.arange(end) >= begin[:, None]
        values = self.values[:, :end]
        means = (values * inside).sum(axis=1) / counts
        rest = (values - means[:, None]) * inside
        squares = (rest**2).sum(axis=1)
        products = (rest[:, 1:] * rest[:, :-1]).sum(axis=1)
        own = np.divide(products, squares, out=np.zeros_like(squares), where=squares > 0)
        found = float(np.median(own + (1 + 3 * own) / counts))
        return min(MOST_LASTING, max(0.0, found))

    def after_change(self, begin: Ints, end: int) -> Ints:
        """Where the values from ``begin`` to ``end`` credibly change, up or down; 0 for nowhere."""
        place, level = np.zeros(self.rows.size, np.int64), np.ones(self.rows.size)
        for middle, wide in product(range(SHORTEST, end - SHORTEST + 1), JUST_BEFORE):
            fits = middle - begin >= SHORTEST
            if not fits.any():
                continue
            tests = self.split(np.where(fits, np.maximum(begin, middle - wide), 0), middle, end)
            heights = np.where(fits, np.abs(tests.t), 0.0)
            if heights.max() < _NOT_SURE:
                continue
            p = 2 * stdtr(tests.df, -heights)
            place = np.where(p < level, middle, place)
            level = np.minimum(level, p)
        tried = len(JUST_BEFORE) * np.maximum(1, end - begin - 2 * SHORTEST + 1)
        return np.where(level * tried < EARLIER, place, 0)

    def split(self, begin: Ints, middle: int, end: int, common: float = 1.0) -> _Tests:
        """The values from ``middle`` to ``end`` against those from ``begin``, by row; the variance
        that all have in common is taken ``common`` times."""
        before, after = middle - begin, end - middle
        sums = self.sums[:, middle] - self.sums[self.rows, begin], self.part(self.sums, middle, end)
        squares = (
            self.squares[:, middle] - self.squares[self.rows, begin],
            self.part(self.squares, middle, end),
        )
        rest = (squares[0] - sums[0] ** 2 / before) + (squares[1] - sums[1] ** 2 / after)
        df = (before + after - 2).astype(np.float64)
        own = np.maximum(rest, 0.0) / np.maximum(df, 1.0)
        shared = Common(self.shared.variance * common, self.shared.df)
        variance, total = shared.moderated(own, df)
        se = np.sqrt(variance * (1 / before + 1 / after))
        return _Tests(sums[1] / after - sums[0] / before, se, total)

    @staticmethod
    def part(sums: Floats, begin: int, end: int) -> Floats:
        return np.asarray(sums[:, end] - sums[:, begin])
