"""Medians, intervals and ratios, held against scipy's own bootstrap and against arithmetic."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats

from bench.analysis.display import ratio_span, ratio_text, scale_for
from bench.estimate import (
    FEWEST_TO_JUDGE,
    Change,
    Logs,
    blocks_needed,
    change,
    confidence,
    half_width,
    log_ratios,
    median,
    median_interval,
    p_worse,
    paired_ratio,
    smallest_effect,
    spread,
)
from bench.estimate.bootstrap import median_quantiles
from bench.model import Better
from bench.units import DASH, NOTHING, number

VALUES = st.lists(st.floats(1e-9, 1e12), min_size=1, max_size=40).map(np.array)


def tail(count: int) -> float:
    """Hesterberg's: Student's t and the factor n / (n - 1) put back into a normal quantile."""
    student = stats.t.ppf(0.025, count - 1)
    return float(stats.norm.cdf(math.sqrt(count / (count - 1)) * student))


@pytest.mark.parametrize("count", [3, 4, 5, 6, 7, 12, 25, 60])
def test_the_interval_is_that_of_a_bootstrap_which_resamples(count: int) -> None:
    values = np.random.default_rng(count).lognormal(3, 0.4, count)
    slow = stats.bootstrap(
        (values,),
        np.median,
        confidence_level=1 - 2 * tail(count),
        n_resamples=50_000,
        method="percentile",
        rng=np.random.default_rng(1),
    ).confidence_interval
    quick = median_interval(values)
    assert quick is not None
    step = np.diff(np.sort(values)).max()
    assert quick == pytest.approx((slow.low, slow.high), abs=0.35 * step)


def by_brute_force(values: np.ndarray, groups: np.ndarray, resamples: int) -> np.ndarray:
    """The medians of resamples: pairs drawn with replacement, then each one's values."""
    random = np.random.default_rng(2)
    parts = [values[groups == label] for label in np.unique(groups)]
    medians = np.empty(resamples)
    for place in range(resamples):
        pairs = random.integers(0, len(parts), len(parts))
        drawn = [random.choice(parts[pair], parts[pair].size) for pair in pairs]
        medians[place] = np.median(np.concatenate(drawn))
    return medians


@pytest.mark.parametrize(("count", "pairs"), [(6, 2), (9, 3), (31, 3), (60, 5), (299, 3), (300, 8)])
@pytest.mark.parametrize("between", [0.0, 0.2])
def test_pairs_are_resampled_first_and_then_their_blocks(
    count: int, pairs: int, between: float
) -> None:
    random = np.random.default_rng(count)
    groups = np.arange(count) % pairs
    values = random.normal(0, 0.1, count) + random.normal(0, between, pairs)[groups]
    slow = np.quantile(by_brute_force(values, groups, 8_000), (0.005, 0.025, 0.5, 0.975, 0.995))
    quick = median_quantiles(values, groups, (0.005, 0.025, 0.5, 0.975, 0.995))
    # Near a quantile the drawn medians are as far apart as the values there.
    step = np.ptp(values) / 30 if count > 60 else np.diff(np.sort(values)).max()
    assert quick == pytest.approx(slow, abs=step)
    assert not np.allclose(quick, median_quantiles(values, None, (0.005, 0.025, 0.5, 0.975, 0.995)))


def test_many_values_of_several_pairs_agree_with_drawing_them_all() -> None:
    random = np.random.default_rng(5)
    groups = np.arange(300) % 3
    values = random.lognormal(0, 0.3, 300) * np.array([1.0, 1.05, 1.3])[groups]
    wanted = (0.01, 0.025, 0.1, 0.5, 0.9, 0.975, 0.99)
    slow = np.quantile(by_brute_force(values, groups, 20_000), wanted)
    quick = np.array(median_quantiles(values, groups, wanted))
    # Held against each other as ranks among the values: within one per cent of them.
    ordered = np.sort(values)
    ranks = np.searchsorted(ordered, quick) - np.searchsorted(ordered, slow)
    assert np.abs(ranks).max() <= 3


def test_pairs_of_one_block_each_are_resampled_as_blocks_are() -> None:
    values = np.random.default_rng(1).normal(0, 1, 12)
    alone = median_interval(values, np.arange(12))
    together = median_interval(values, np.zeros(12, dtype=np.int64))
    assert alone is not None
    assert together == median_interval(values)
    assert alone == pytest.approx(together, abs=0.3 * float(np.diff(np.sort(values)).max()))


@given(st.permutations(range(4)), st.integers(5, 80))
@settings(deadline=None)
def test_what_the_pairs_are_called_and_the_order_do_not_matter(
    names: list[int], count: int
) -> None:
    random = np.random.default_rng(count)
    values, groups = random.normal(0, 1, count), random.integers(0, 4, count)
    renamed = np.array(names)[groups]
    assert median_interval(values, groups) == median_interval(values[::-1], renamed[::-1])


def test_six_values_are_the_first_whose_range_is_sure_enough() -> None:
    values = np.random.default_rng(7).normal(0, 1, 6)
    assert median_interval(values) == (values.min(), values.max())
    assert FEWEST_TO_JUDGE == 6


def test_intervals_of_many_blocks_are_had_in_no_time() -> None:
    random = np.random.default_rng(8)
    values, groups = random.normal(0, 1, 6_250), np.arange(6_250) % 3
    begun = time.process_time()
    for shift in range(20):
        assert median_interval(values + shift, groups) is not None
        assert median_interval(values + shift) is not None
    # A report of 100,000 trials has 130 of each.
    assert time.process_time() - begun < 20 / 130 * 1.5


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


def test_half_widths_are_those_of_the_farther_bound_as_factors() -> None:
    assert half_width(1.0, (0.98, 1.03)) == pytest.approx(0.03)
    assert half_width(0.8, (0.4, 1.0)) == pytest.approx(1.0)
    assert half_width(2.0, (2.0, 2.0)) == 0


@given(st.floats(1e-3, 5), st.integers(3, 1000), st.floats(1e-3, 5))
def test_as_many_blocks_as_it_says_reach_the_target(width: float, pairs: int, goal: float) -> None:
    def width_of(blocks: int) -> float:
        factor = stats.t.ppf(0.975, blocks - 1) / math.sqrt(blocks - 1)
        return math.log1p(width) * factor / stats.t.ppf(0.975, pairs - 1) * math.sqrt(pairs - 1)

    needed = blocks_needed(width, pairs, goal)
    assert needed >= pairs
    assert width_of(needed) <= math.log1p(goal) * (1 + 1e-6) or needed == pairs
    if needed > pairs:
        assert width_of(needed - 1) > math.log1p(goal) * (1 - 1e-6)


def test_half_the_width_takes_four_times_the_blocks_and_fewer_where_they_are_few() -> None:
    assert blocks_needed(0.02, 10, 0.02) == 10
    assert blocks_needed(math.expm1(0.04), 1000, math.expm1(0.02)) == pytest.approx(4000, rel=0.01)
    assert blocks_needed(math.expm1(0.04), 6, math.expm1(0.02)) == 15


def test_the_smallest_effect_is_that_of_the_normal_power_calculation() -> None:
    error = 0.02
    reach = stats.norm.ppf(0.975) * error
    effect = smallest_effect(1.0, (math.exp(-reach), math.exp(reach)))
    missed = stats.norm.cdf(stats.norm.ppf(0.975) - math.log1p(effect) / error)
    assert missed == pytest.approx(0.2, abs=1e-6)
    assert smallest_effect(1.0, (1.0, 1.0)) == 0


def test_a_change_is_the_quotient_of_the_medians_with_an_interval_around_it() -> None:
    random = np.random.default_rng(9)
    base = random.normal(0.0, 0.03, 12)
    found = change(Logs(base), Logs(base[::-1] + math.log(0.8)))
    assert found.ratio == pytest.approx(0.8)
    assert found.interval is not None
    assert found.interval[0] < 0.8 < found.interval[1]
    assert found.se is not None
    assert found.df == pytest.approx(22)
    own = median_interval(base)
    assert own is not None
    # Two runs with the same noise: the square root of two times one's error.
    single = (own[1] - own[0]) / 2 / stats.t.ppf(0.975, 11)
    assert found.se == pytest.approx(single * math.sqrt(2))


def test_a_change_to_a_run_without_noise_is_as_sure_as_the_noisy_one() -> None:
    base = np.random.default_rng(10).normal(0.0, 0.03, 10)
    found = change(Logs(base), Logs(np.zeros(30)))
    assert found.df == pytest.approx(9)
    own, interval = median_interval(base), found.interval
    assert own is not None
    assert interval is not None
    assert math.log(interval[1] / interval[0]) == pytest.approx(own[1] - own[0])


@pytest.mark.parametrize(("base", "new"), [(0, 9), (9, 0), (0, 0)])
def test_of_nothing_there_is_no_change(base: int, new: int) -> None:
    assert change(Logs(np.zeros(base)), Logs(np.zeros(new))) == Change(None)


@pytest.mark.parametrize(("base", "new"), [(1, 9), (9, 2), (1, 1)])
def test_a_change_of_few_blocks_has_no_interval_and_no_p_value(base: int, new: int) -> None:
    found = change(Logs(np.zeros(base)), Logs(np.ones(new)))
    assert found == Change(pytest.approx(math.e))
    assert p_worse(found, 0.05, Better.HIGHER) is None


def test_p_values_are_those_of_students_t() -> None:
    found = Change(0.9, (0.8, 1.0), se=0.05, df=8)
    beyond = (math.log(0.95) - math.log(0.9)) / 0.05
    assert p_worse(found, 0.05, Better.HIGHER) == pytest.approx(stats.t.sf(beyond, 8))
    slower = Change(1.2, (1.1, 1.3), se=0.05, df=8)
    beyond = (math.log(1.2) - math.log(1.05)) / 0.05
    assert p_worse(slower, 0.05, Better.LOWER) == pytest.approx(stats.t.sf(beyond, 8))
    assert p_worse(slower, 0.05, Better.HIGHER) == pytest.approx(1, abs=0.01)
    assert p_worse(Change(0.95, (0.9, 1.0), 0.05, 8), 0.05, Better.HIGHER) == pytest.approx(0.5)


@pytest.mark.parametrize(("ratio", "wanted"), [(0.9, 0.0), (0.95, 1.0), (1.0, 1.0)])
def test_without_noise_a_change_is_certain(ratio: float, wanted: float) -> None:
    assert p_worse(Change(ratio, (ratio, ratio), 0.0, 10), 0.05, Better.HIGHER) == wanted


def test_log_ratios_are_all_there_or_none() -> None:
    assert log_ratios(np.array([2.0, 1.0]), np.array([1.0, 1.0])) == pytest.approx([math.log(2), 0])
    assert not log_ratios(np.array([2.0, 0.0]), np.array([1.0, 1.0])).size


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
