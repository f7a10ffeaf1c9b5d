"""Medians, intervals and ratios, held against scipy's own bootstrap and against arithmetic."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats

from bench.analysis.display import ratio_span, ratio_text, scale_for
from bench.estimate import (
    confidence,
    median,
    median_interval,
    paired_ratio,
    spread,
)
from bench.units import DASH, NOTHING, number

VALUES = st.lists(st.floats(1e-9, 1e12), min_size=1, max_size=40).map(np.array)


@pytest.mark.parametrize("count", [3, 4, 5, 6, 7, 12, 25, 60])
def test_the_interval_is_that_of_a_bootstrap_which_resamples(count: int) -> None:
    values = np.random.default_rng(count).lognormal(3, 0.4, count)
    slow = stats.bootstrap(
        (values,),
        np.median,
        confidence_level=0.95,
        n_resamples=20_000,
        method="percentile",
        rng=np.random.default_rng(1),
    ).confidence_interval
    quick = median_interval(values)
    assert quick is not None
    step = np.diff(np.sort(values)).max()
    assert quick == pytest.approx((slow.low, slow.high), abs=0.35 * step)


def test_the_interval_holds_the_true_median_about_as_often_as_it_says() -> None:
    random = np.random.default_rng(4)
    held = 0
    for _ in range(1000):
        interval = median_interval(random.exponential(1.0, 15))
        assert interval is not None
        held += interval[0] <= math.log(2) <= interval[1]
    assert 0.91 < held / 1000 < 0.99


def test_up_to_five_values_it_is_their_range() -> None:
    for count in (3, 4, 5):
        values = np.arange(1.0, count + 1)
        assert median_interval(values) == (1.0, count)
    assert median_interval(np.arange(1.0, 13.0)) != (1.0, 12.0)


@pytest.mark.parametrize("values", [[], [1.0], [1.0, 2.0]])
def test_below_three_values_there_is_no_interval_and_no_spread(values: list[float]) -> None:
    assert median_interval(np.array(values)) is None
    assert spread(np.array(values)) is None


def test_of_nothing_there_is_no_median() -> None:
    assert median(np.empty(0)) is None
    assert paired_ratio(np.empty(0), np.empty(0)) == (None, None)


@given(VALUES)
def test_the_median_lies_in_the_interval_and_that_in_the_range(values: np.ndarray) -> None:
    interval, middle = median_interval(values), median(values)
    assert middle is not None
    if values.size < 3:
        assert interval is None
        return
    assert interval is not None
    # Up to rounding: the mean of two equal halves may differ in the last bit.
    low, high = (float(bound) for bound in interval)
    slack = 1e-12 * float(values.max())
    assert values.min() - slack <= low <= middle + slack
    assert middle - slack <= high <= values.max() + slack
    assert interval == median_interval(values[::-1].copy())


@given(VALUES, st.floats(1e-3, 1e3))
def test_a_driver_that_always_gets_the_same_share_has_that_ratio(
    baselines: np.ndarray, share: float
) -> None:
    ratio, interval = paired_ratio(baselines * share, baselines)
    assert ratio == pytest.approx(share, rel=1e-6)
    if interval is not None:
        assert interval == pytest.approx((share, share), rel=1e-6)


@given(VALUES, st.randoms(use_true_random=False))
@settings(deadline=None)
def test_swapping_both_inverts_the_ratio(values: np.ndarray, random: object) -> None:
    others = np.roll(values, 1) * 1.7
    there, back = paired_ratio(values, others), paired_ratio(others, values)
    assert there[0] is not None
    assert back[0] is not None
    assert there[0] * back[0] == pytest.approx(1, rel=1e-6)


def test_pairing_removes_what_both_share() -> None:
    random = np.random.default_rng(3)
    drift = np.exp(random.normal(0, 1.0, 9))
    ratio, interval = paired_ratio(7.4 * drift, 10 * drift)
    assert ratio == pytest.approx(0.74)
    assert interval == pytest.approx((0.74, 0.74))


@pytest.mark.parametrize(
    ("values", "baselines"), [([1, 0, 2], [1, 1, 1]), ([1, 1, 1], [1, 0, 1]), ([-1.0], [1.0])]
)
def test_what_is_not_above_zero_has_no_ratio(values: list[float], baselines: list[float]) -> None:
    assert paired_ratio(np.array(values), np.array(baselines)) == (None, None)


def test_huge_ratios_stay_finite_or_are_none() -> None:
    ratio, interval = paired_ratio(np.full(3, 1e300), np.full(3, 1e-3))
    assert ratio == pytest.approx(1e303, rel=1e-6)
    assert interval is not None
    assert paired_ratio(np.full(3, 1e300), np.full(3, 1e-300)) == (None, None)
    assert median_interval(np.full(4, 1.7e308)) == (1.7e308, 1.7e308)


def test_how_sure_the_range_of_few_values_is() -> None:
    found = [round(confidence(count), 4) for count in range(1, 8)]
    assert found == [0, 0, 0.75, 0.875, 0.9375, 0.95, 0.95]


@pytest.mark.parametrize(
    ("unit", "largest", "shown"),
    [
        ("bit/s", 9.412e9, "9.41 Gbit/s"),
        ("bit/s", 812e6, "812 Mbit/s"),
        ("s", 0.00123, "1.23 ms"),
        ("s", 0.000123, "123 µs"),
        ("1/s", 14_300.0, "14.3 k/s"),
        ("segments", 17.0, "17 segments"),
        ("segments", 17.5, "17.5 segments"),
        ("bit/s", 0.0, "0 bit/s"),
    ],
)
def test_units_that_people_read(unit: str, largest: float, shown: str) -> None:
    scale = scale_for(unit, [largest, None, largest / 10])
    assert f"{scale.text(largest)} {scale.unit}" == shown


def test_what_is_not_there_is_a_dash() -> None:
    scale = scale_for("s", [None])
    assert (scale.text(None), scale.span(None), ratio_text(None)) == (NOTHING,) * 3


@pytest.mark.parametrize(
    ("ratio", "shown"), [(0.7449, "0.74"), (1.0, "1.00"), (0.00123, "0.0012"), (12345.0, "12,345")]
)
def test_ratios_as_text(ratio: float, shown: str) -> None:
    assert ratio_text(ratio) == shown
    assert ratio_span(ratio, None) == shown
    assert ratio_span(ratio, (ratio, ratio)) == f"{shown} ({shown}{DASH}{shown})"


@given(st.floats(-1e300, 1e300))
def test_three_digits_are_within_half_a_per_cent(value: float) -> None:
    shown = float(number(value).replace(",", ""))
    assume(abs(value) > 1e-300)
    assert shown == pytest.approx(value, rel=0.0051)
