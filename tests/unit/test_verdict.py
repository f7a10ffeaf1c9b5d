"""Verdicts: which kind, and the very words."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.analysis.verdict import Kind, difference, judge, plus_minus
from bench.estimate import blocks_needed
from bench.model import Better, Metric
from bench.units import DASH

RATE = Metric("throughput", "bit/s", Better.HIGHER, "TCP throughput", headline=True)
REQUESTS = Metric("requests", "1/s", Better.HIGHER, "HTTP requests", headline=True)
TIME = Metric("latency_p99", "s", Better.LOWER, "HTTP latency p99", headline=True)
COST = Metric("cpu_per_gb", "s/GB", Better.LOWER, "CPU time per GB")
Range = tuple[float, float]


@pytest.mark.parametrize(
    ("metric", "ratio", "interval", "words"),
    [
        (RATE, 0.82, (0.79, 0.85), "slower by 18 % (15-21 %)"),
        (TIME, 1.18, (1.15, 1.21), "slower by 18 % (15-21 %)"),
        (REQUESTS, 1.04, (1.02, 1.06), "faster by 4 % (2-6 %)"),
        (TIME, 0.96, (0.94, 0.98), "faster by 4 % (2-6 %)"),
        (RATE, 0.978, (0.974, 0.981), "slower by 2.2 % (1.9-2.6 %)"),
        (RATE, 0.9961, (0.9955, 0.9968), "slower by 0.39 % (0.32-0.45 %)"),
        (RATE, 0.969, (0.942, 0.997), "slower by 3.1 % (0.3-5.8 %)"),
        (RATE, 0.43, (0.41, 0.44), "slower by 57 % (56-59 %)"),
        (RATE, 0.7449, (0.7449, 0.7449), "slower by 25.5 % (25.5-25.5 %)"),
        (TIME, 2.3, (2.12, 2.64), "2.3 times as slow (2.1-2.6)"),
        (TIME, 14.2, (9.1, 118.0), "14 times as slow (9.1-118)"),
        (RATE, 2.3, (2.12, 2.64), "2.3 times as fast (2.1-2.6)"),
        (COST, 1.12, (1.08, 1.15), "higher by 12 % (8-15 %)"),
        (COST, 0.88, (0.85, 0.92), "lower by 12 % (8-15 %)"),
        (COST, 3.04, (2.8, 3.2), "3.0 times as high (2.8-3.2)"),
        (RATE, 0.88, (0.8, 0.9992), "slower by 12.0 % (0.1-20.0 %)"),
        (TIME, 1.9, (1.6, 2.2), "slower by 90 % (60-120 %)"),
    ],
)
def test_a_difference_in_words(metric: Metric, ratio: float, interval: Range, words: str) -> None:
    words = words.replace("-", DASH)
    found = judge(metric, ratio, interval, 10)
    assert found.words == words == difference(metric, ratio, interval)
    good = (ratio > 1) == (metric.better is Better.HIGHER)
    assert found.kind is (Kind.BETTER if good else Kind.WORSE)


def test_an_interval_that_holds_one_and_is_narrow_says_so() -> None:
    found = judge(RATE, 1.002, (0.985, 1.021), 12)
    assert (found.kind, found.words) == (Kind.INDISTINGUISHABLE, "indistinguishable: within ±2.1 %")
    # A lower bound of 1 / 1.025 is 2.5 % away, as is an upper one of 1.025.
    assert judge(TIME, 1.0, (1 / 1.025, 1.001), 12).words == "indistinguishable: within ±2.5 %"


def test_one_that_is_wide_says_what_it_would_take() -> None:
    found = judge(RATE, 1.02, (0.9, 1.14), 10, 0.05)
    assert found.kind is Kind.NOISY
    assert found.more_blocks == blocks_needed(1.02 / 0.9 - 1, 10, 0.05) - 10
    assert found.words == (
        f"too noisy to tell: ±13 %; about {found.more_blocks} more blocks would settle ±5 %"
    )
    assert judge(RATE, 1.0, (0.965, 1.035), 6, None).words == (
        "too noisy to tell: ±3.6 %; about 2 more blocks would settle ±3 %"
    )
    assert judge(RATE, 1.0, (0.97, 1.03), 6, 0.03).words.endswith(
        "about 1 more block would settle ±3 %"
    )


@pytest.mark.parametrize(
    ("reach", "blocks"), [(1.09, "51"), (1.2, "250"), (2.5, "6,500"), (50.0, "120,000")]
)
def test_how_many_blocks_more_is_told_in_two_digits(reach: float, blocks: str) -> None:
    words = judge(RATE, 1.0, (1 / reach, reach), 10).words
    assert f"; about {blocks} more blocks would settle ±3 %" in words
    # No ratio falls by 100 % and more.
    assert (f": {reach:g} times either way; " in words) == (reach >= 2)


def test_what_is_settled_is_never_called_too_noisy() -> None:
    # Away from 1 by 2 %, known to 2.6 %: within the target, and its own words tell how far it goes.
    found = judge(RATE, 0.98, (0.98 / 1.026, 0.98 * 1.026), 20, 0.03)
    assert found.words == "indistinguishable: within ±4.7 %"


@pytest.mark.parametrize("pairs", range(1, 6))
def test_below_six_blocks_there_is_no_verdict(pairs: int) -> None:
    found = judge(RATE, 0.5, (0.49, 0.51) if pairs > 2 else None, pairs)
    assert (found.kind, found.words) == (Kind.FEW, f"too few blocks: {pairs} of 6")


@pytest.mark.parametrize("ratio", [None, 0.0])
def test_without_a_ratio_there_is_nothing_to_say(ratio: float | None) -> None:
    for pairs in (0, 9):
        found = judge(RATE, ratio, None, pairs)
        assert (found.kind, found.words, found.more_blocks) == (Kind.NONE, "", 0)
    assert judge(RATE, 1e-308, (0.0, 1.0), 9).kind is Kind.NONE


def test_the_baseline_is_what_the_others_are_judged_by() -> None:
    found = judge(RATE, 1.0, (1.0, 1.0), 9, baseline=True)
    assert (found.kind, found.words) == (Kind.BASELINE, "baseline")


@pytest.mark.parametrize(
    ("share", "text"),
    [
        *((0.004, "±0.4 %"), (0.021, "±2.1 %"), (0.14, "±14 %"), (0.03, "±3 %"), (0.025, "±2.5 %")),
        *((0.0996, "±10 %"), (0.00031, "±0.031 %"), (0.0, "±0 %"), (12.3, "±1230 %")),
    ],
)
def test_half_widths_as_text(share: float, text: str) -> None:
    assert plus_minus(share) == text


@given(
    st.sampled_from([RATE, TIME, COST]),
    st.floats(-3, 3),
    st.tuples(st.floats(1e-6, 2), st.floats(1e-6, 2)),
    st.integers(0, 50),
    st.floats(0.005, 0.5),
)
def test_the_words_fit_the_numbers(
    metric: Metric, log: float, reach: tuple[float, float], pairs: int, target: float
) -> None:
    ratio, interval = math.exp(log), (math.exp(log - reach[0]), math.exp(log + reach[1]))
    found = judge(metric, ratio, interval, pairs, target)
    holds = interval[0] <= 1 <= interval[1]
    if pairs < 6:
        assert found.kind is Kind.FEW
    elif holds:
        assert found.kind in (Kind.INDISTINGUISHABLE, Kind.NOISY)
        assert (found.kind is Kind.NOISY) == (found.more_blocks > 0)
    else:
        assert found.kind in (Kind.BETTER, Kind.WORSE)
        low, middle, high = told(found.words)
        assert low <= middle <= high
        # What leaves 1 out does not read as if it did not.
        assert low > 0 or min(abs(bound - 1) for bound in interval) < 0.0001


def told(words: str) -> tuple[float, float, float]:
    """The numbers of a difference: lower bound, middle, upper bound."""
    middle, low, high = (
        float(one.replace(",", "")) for one in re.findall(r"\d[\d,]*\.?\d*", words)
    )
    return low, middle, high
