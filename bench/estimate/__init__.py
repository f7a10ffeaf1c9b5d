"""Medians, their bootstrap intervals, ratios taken in pairs, changes. Pure and seeded.

Both wings use it: the runner to know when a run has measured enough, the analysis for its numbers.
Of scipy only `scipy.special` is used, which imports in a tenth of the time of `scipy.stats`.
"""

from bench.estimate.bootstrap import Floats, Ints
from bench.estimate.changes import Change, Logs, change, p_worse
from bench.estimate.histograms import percentile_places
from bench.estimate.medians import (
    CONFIDENCE,
    FEWEST,
    FEWEST_TO_JUDGE,
    Range,
    confidence,
    log_ratios,
    median,
    median_interval,
    paired_ratio,
    spread,
)
from bench.estimate.width import blocks_needed, half_width, smallest_effect, width_after

__all__ = [
    "CONFIDENCE",
    "FEWEST",
    "FEWEST_TO_JUDGE",
    "Change",
    "Floats",
    "Ints",
    "Logs",
    "Range",
    "blocks_needed",
    "change",
    "confidence",
    "half_width",
    "log_ratios",
    "median",
    "median_interval",
    "p_worse",
    "paired_ratio",
    "percentile_places",
    "smallest_effect",
    "spread",
    "width_after",
]
