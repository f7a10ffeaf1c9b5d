"""Intervals of percentiles of histograms that were added up, by resampling what was added."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bench.estimate.bootstrap import SEED

# Percentiles are read off a picture, where a thousand resamples tell as much as ten thousand.
RESAMPLES = 1_000
# Fewer cannot hold 95 % between their smallest and largest.
FEWEST_PARTS = 6


def percentile_places(
    parts: NDArray[np.uint64], at: Sequence[float]
) -> tuple[tuple[int, int], ...]:
    """The 95 % interval of each percentile in ``at``, as the columns that hold its ends.

    ``parts`` has a row of counts for each part. Requests of one trial are not independent, trials
    are: so whole parts are drawn with replacement (the cluster bootstrap; Davison & Hinkley, 1997,
    section 3.8). Empty for fewer than ``FEWEST_PARTS`` parts. The same parts give the same result.
    """
    count = len(parts)
    if count < FEWEST_PARTS:
        return ()
    used = np.flatnonzero(parts.sum(axis=0))
    draw = np.random.default_rng(SEED)
    drawn = draw.multinomial(count, np.full(count, 1 / count), RESAMPLES).astype(np.float64)
    below = np.cumsum(drawn @ parts[:, used].astype(np.float64), axis=1)
    found = []
    for percentile in at:
        needed = percentile / 100 * below[:, -1:]
        columns = np.minimum((below < needed).sum(axis=1), used.size - 1)
        low, high = np.quantile(columns, (0.025, 0.975), method="nearest")
        found.append((int(used[int(low)]), int(used[int(high)])))
    return tuple(found)
