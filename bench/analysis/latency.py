"""Latency percentiles of a cell: the histograms of its trials merged, never their percentiles.

A percentile of all requests cannot be had from the trials' percentiles; it can from their
histograms, as counts add up.
"""

from __future__ import annotations

import binascii
import math
import zlib
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from hdrh.codec import HdrCookieException, HdrLengthException
from hdrh.histogram import HdrHistogram

from bench.errors import StoreError
from bench.model import Cell, Status, Trial
from bench.store import StoredRun

PERCENTILES = (50.0, 90.0, 99.0, 99.9)
# A percentile with fewer requests than these beyond it says more about chance than about the path.
FEWEST_BEYOND = 10
_STEPS_PER_DECADE = 24
# The curve begins at the tenth percentile: the luckiest requests tell nothing about a driver.
_BEGIN = -math.log10(0.9)
_LARGEST_US = 3_600_000_000
_DAMAGED = (
    *(binascii.Error, zlib.error, HdrCookieException, HdrLengthException),
    *(TypeError, ValueError, IndexError, AssertionError),
)


@dataclass(frozen=True, slots=True)
class Latency:
    """The latencies of all requests of all completed trials of one cell.

    ``percentiles`` maps 50, 90, 99 and 99.9 to seconds, to None where fewer than ten requests lie
    beyond; ``curve`` is (percentile, seconds) in ascending order, up to the same limit.
    """

    cell: Cell
    requests: int
    percentiles: dict[float, float | None]
    curve: tuple[tuple[float, float], ...]


def merged_latencies(run: StoredRun, cells: Iterable[Cell]) -> tuple[Latency, ...]:
    """For each of ``cells`` that has histograms, in that order. StoreError for a damaged one."""
    merged: dict[Cell, HdrHistogram] = {}
    for trial in run.trials:
        if trial.histogram is None or trial.status is not Status.COMPLETED:
            continue
        if trial.cell not in merged:
            merged[trial.cell] = HdrHistogram(1, _LARGEST_US, 3)
        _add(run, merged[trial.cell], trial, trial.histogram)
    return tuple(
        _latency(cell, merged[cell])
        for cell in cells
        if cell in merged and merged[cell].get_total_count() > 0
    )


def _add(run: StoredRun, into: HdrHistogram, trial: Trial, encoded: str) -> None:
    try:
        into.decode_and_add(encoded)
    except _DAMAGED:
        raise StoreError(
            f"{run.path / 'trials.jsonl'}: trial {trial.sequence} ({trial.cell}): "
            "its latency histogram cannot be decoded",
            "the file is damaged",
        ) from None


def _latency(cell: Cell, histogram: HdrHistogram) -> Latency:
    requests = int(histogram.get_total_count())
    # Even steps on the scale of 1 / (1 - p), on which the tail gets as much room as the body.
    decades = max(0.0, math.log10(requests / FEWEST_BEYOND))
    steps = np.linspace(_BEGIN, max(_BEGIN, decades), int(decades * _STEPS_PER_DECADE) + 2)
    wanted = sorted({*((1 - 10.0**-steps) * 100).tolist(), *PERCENTILES})
    found = histogram.get_percentile_to_value_dict(wanted)
    known = {at: found[at] / 1e6 for at in wanted if _supported(at, requests)}
    return Latency(
        cell,
        requests,
        {at: known.get(at) for at in PERCENTILES},
        tuple(known.items()),
    )


def _supported(percentile: float, requests: int) -> bool:
    # Rounded, as 1 - 0.999 of 10,000 comes out as a hair less than ten.
    return round(requests * (100 - percentile) / 100, 6) >= FEWEST_BEYOND
