"""Histograms added up are what the library that made them says they are."""

from __future__ import annotations

import base64
import dataclasses
from pathlib import Path

import pytest
from hdrh.histogram import HdrHistogram
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.analysis.latency import PERCENTILES, Latency, merged_latencies
from bench.errors import StoreError
from bench.model import Status
from bench.store import StoredRun, load

GOLDEN = Path(__file__).parents[1] / "golden"
MOST = 3_600_000_000
RUN = load(GOLDEN / "run-format-1")
TRIAL = next(trial for trial in RUN.trials if trial.histogram)

# From one to the longest there can be, so that the arrays differ in length.
VALUES = st.lists(st.tuples(st.integers(1, MOST), st.integers(1, 10**6)), max_size=20)


def encoded(values: list[tuple[int, int]], digits: int = 3) -> str:
    histogram = HdrHistogram(1, MOST, digits)
    for value, count in values:
        histogram.record_value(value, count)
    return str(histogram.encode().decode("ascii"))


def holding(*histograms: str, status: Status = Status.COMPLETED) -> StoredRun:
    """A run of one trial a histogram, all of one cell."""
    trials = [dataclasses.replace(TRIAL, histogram=one, status=status) for one in histograms]
    return dataclasses.replace(RUN, trials=tuple(trials))


@given(st.lists(VALUES, min_size=1, max_size=5))
@settings(max_examples=40, deadline=None)
def test_the_sum_is_the_librarys(stored: list[list[tuple[int, int]]]) -> None:
    histograms = [encoded(values) for values in stored]
    expected = HdrHistogram(1, MOST, 3)
    for one in histograms:
        expected.decode_and_add(one)
    found = merged_latencies(holding(*histograms), [TRIAL.cell])
    assert len(found) == bool(expected.get_total_count())
    for latency in found:
        assert latency.requests == expected.get_total_count()
        for at in PERCENTILES:
            value = latency.percentiles[at]
            if value is not None:
                assert value == expected.get_value_at_percentile(at) / 1e6


def test_a_stored_runs_are_its_trials_own_added_up() -> None:
    cells = RUN.info.plan.cells
    found = {latency.cell: latency for latency in merged_latencies(RUN, cells)}
    assert len(found) == 8
    for trial in RUN.trials:
        if trial.histogram:
            own = HdrHistogram.decode(trial.histogram)
            assert found[trial.cell].requests == own.get_total_count() > 1000
            assert found[trial.cell].percentiles[50.0] == own.get_value_at_percentile(50) / 1e6


def test_trials_that_failed_add_nothing() -> None:
    assert merged_latencies(holding(encoded([(5, 10)]), status=Status.FAILED), [TRIAL.cell]) == ()


@pytest.mark.parametrize(
    "broken",
    [
        "",
        "AAAA",
        "no base64!",
        "AAAAAAAAAAAA",
        encoded([(5, 10)])[:-4],
        base64.b64encode(base64.b64decode(encoded([(5, 10)]))[:-9] + b"123456789").decode(),
        # A histogram, but its counts mean other values.
        encoded([(5, 10)], digits=2),
    ],
)
def test_one_that_is_none_is_named(broken: str) -> None:
    run = holding(encoded([(5, 10)]), broken)
    with pytest.raises(
        StoreError, match=r"trials\.jsonl: trial \d+ .*http-echo.*cannot be decoded"
    ):
        merged_latencies(run, [TRIAL.cell])


def spread(*middles: int) -> Latency:
    """A cell of one trial a middle: 1,000 requests each, evenly from half of it to half more."""
    one = [
        encoded([(middle // 2 + step * middle // 100, 10) for step in range(100)])
        for middle in middles
    ]
    (found,) = merged_latencies(holding(*one), [TRIAL.cell])
    return found


def test_trials_that_agree_leave_no_interval_and_fewer_than_six_have_none() -> None:
    same = spread(*[1000] * 8)
    for at, (low, high) in same.intervals.items():
        assert low == high == same.percentiles[at]
    assert set(same.intervals) == {
        at for at, value in same.percentiles.items() if value is not None
    }
    assert spread(*[1000] * 5).intervals == {}


def test_the_interval_of_a_percentile_is_as_wide_as_trials_differ() -> None:
    narrow, wide = spread(*range(950, 1050, 10)), spread(*range(500, 1500, 100))
    for found in (narrow, wide):
        low, high = found.intervals[50.0]
        assert low < (found.percentiles[50.0] or 0) < high
    widths = [one.intervals[50.0][1] - one.intervals[50.0][0] for one in (narrow, wide)]
    assert widths[1] > 4 * widths[0]


def test_many_trials_are_held_in_few_parts_and_still_add_up() -> None:
    found = spread(*range(1000, 1100))
    assert found.requests == 100_000
    low, high = found.intervals[50.0]
    # A hundred trials whose middles scatter by 29: their mean is known to 5.8 either way.
    assert 3e-6 < (high - low) / 2 < 12e-6
