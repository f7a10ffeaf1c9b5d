"""Latency percentiles of a cell: the histograms of its trials merged, never their percentiles.

A percentile of all requests cannot be had from the trials' percentiles; it can from their
histograms, as counts add up.
"""

from __future__ import annotations

import math
import random
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from hdrh.codec import ExternalHeader, HdrCookieException, HdrLengthException, HdrPayload
from hdrh.histogram import HdrHistogram
from numpy.typing import NDArray

from bench.estimate import Range, percentile_places
from bench.model import Cell, Status
from bench.store import StoredRun, undecodable

PERCENTILES = (50.0, 90.0, 99.0, 99.9, 99.99)
# A percentile with fewer requests than these beyond it says more about chance than about the path.
FEWEST_BEYOND = 10
_STEPS_PER_DECADE = 24
# The curve begins at the tenth percentile: the luckiest requests tell nothing about a driver.
_BEGIN = -math.log10(0.9)
_LARGEST_US = 3_600_000_000
_DIGITS = 3
_WORD = 8
# Into as many parts a cell's trials are put, to see how they differ.
_PARTS = 32
_SEED = 20_240_229
_DAMAGED = (
    *(zlib.error, HdrCookieException, HdrLengthException),
    *(TypeError, ValueError, IndexError, AssertionError),
)


@dataclass(frozen=True, slots=True)
class Latency:
    """All latencies of all completed trials of one cell.

    ``percentiles`` maps 50, 90, 99, 99.9 and 99.99 to seconds, to None where fewer than ten lie
    beyond; ``curve`` is (percentile, seconds) in ascending order, up to the same limit.
    ``intervals`` has the 95 % intervals of those percentiles in seconds, where trials are enough.
    """

    cell: Cell
    requests: int
    percentiles: dict[float, float | None]
    curve: tuple[tuple[float, float], ...]
    intervals: Mapping[float, Range] = field(default_factory=dict)


class _Merged:
    """The sum of many encoded histograms.

    HdrHistogram has all this (``decode_and_add``), and makes a whole histogram of each one before
    it adds it, 0.2 MB for 3 KB. Here its codec fills an array no longer than it must be, and numpy
    adds that: a third of the time, which for 50,000 of them is seconds.
    """

    def __init__(self) -> None:
        self._sum = HdrHistogram(1, _LARGEST_US, _DIGITS)
        # The very counts that the sum encodes, read and written as an array.
        self._counts = np.frombuffer(self._sum.encoder.get_counts(), dtype=np.uint64)
        # So that what is kept does not grow with the trials. Each further one goes to any part: in
        # turn, the parts would be alike wherever trials drift.
        self._parts: list[NDArray[np.uint64]] = []
        self._draw = random.Random(_SEED)  # noqa: S311 - no secret
        self._total = 0
        self._first, self._last = self._counts.size, -1
        # How many counts the last ones had. Those of one cell are all of about a length.
        self._length = 1024

    def add(self, encoded: bytes) -> None:
        """Add one. Raises one of _DAMAGED for what is not the encoding of a histogram."""
        payload = _payload(encoded)
        header = payload.payload
        if (header.lowest_trackable_value, header.significant_figures) != (1, _DIGITS) or (
            header.highest_trackable_value != _LARGEST_US
        ):
            raise ValueError("a histogram of another shape")
        try:
            found = payload.init_counts(self._length)
        except IndexError:
            # Longer than any so far: room for that, and some.
            payload = _payload(encoded)
            found = payload.init_counts(self._counts.size)
            self._length = min(self._counts.size, found["max_nonzero_index"] * 5 // 4 + 1)
        end = found["max_nonzero_index"] + 1
        counts = np.frombuffer(payload.get_counts(), dtype=np.uint64, count=max(end, 0))
        self._keep(counts)
        if end > 0:
            self._first = min(self._first, found["min_nonzero_index"])
            self._last = max(self._last, end - 1)
            self._total += found["total"]

    def _keep(self, counts: NDArray[np.uint64]) -> None:
        if len(self._parts) < _PARTS:
            self._parts.append(counts.copy())
            return
        place = self._draw.randrange(_PARTS)
        part = self._parts[place]
        if part.size < counts.size:
            part = self._parts[place] = np.pad(part, (0, counts.size - part.size))
        part[: counts.size] += counts

    def intervals(self, at: Sequence[float]) -> dict[float, Range]:
        """The 95 % intervals of these percentiles, in seconds; empty where trials are too few."""
        width = max((part.size for part in self._parts), default=0)
        parts = np.array([np.pad(part, (0, width - part.size)) for part in self._parts])
        places = percentile_places(parts, at) if self._total else ()
        return {
            percentile: (self._seconds(low), self._seconds(high))
            for percentile, (low, high) in zip(at, places, strict=False)
        }

    def _seconds(self, place: int) -> float:
        value = self._sum.get_value_from_index(place)
        return float(self._sum.get_highest_equivalent_value(value)) / 1e6

    def histogram(self) -> HdrHistogram:
        """The sum as a histogram, complete when the last was added."""
        if self._total:
            self._counts[:] = 0
            for part in self._parts:
                self._counts[: part.size] += part
            self._sum.set_internal_tacking_values(self._first, self._last, self._total)
        return self._sum


def _payload(encoded: bytes) -> Any:
    size = len(bytes(ExternalHeader()))
    header = ExternalHeader.from_buffer_copy(encoded)
    if header.length != len(encoded) - size:
        raise HdrLengthException("cut off")
    return HdrPayload(_WORD, compressed_payload=encoded[size:])


def merged_latencies(run: StoredRun, cells: Iterable[Cell]) -> tuple[Latency, ...]:
    """For each of ``cells`` that has histograms, in that order. StoreError for a damaged one."""
    merged: dict[Cell, _Merged] = {}
    for one, encoded in zip(run.results, run.histograms, strict=True):
        if encoded is None or one.status is not Status.COMPLETED:
            continue
        if one.cell not in merged:
            merged[one.cell] = _Merged()
        try:
            merged[one.cell].add(encoded)
        except _DAMAGED:
            raise undecodable(run.path / "trials.jsonl", one.sequence, one.cell) from None
    summed = {cell: one.histogram() for cell, one in merged.items()}
    return tuple(
        _latency(cell, summed[cell], merged[cell])
        for cell in cells
        if cell in summed and summed[cell].get_total_count() > 0
    )


def _latency(cell: Cell, histogram: HdrHistogram, merged: _Merged) -> Latency:
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
        merged.intervals([at for at in PERCENTILES if at in known]),
    )


def _supported(percentile: float, requests: int) -> bool:
    # Rounded, as 1 - 0.999 of 10,000 comes out as a hair less than ten.
    return round(requests * (100 - percentile) / 100, 6) >= FEWEST_BEYOND
