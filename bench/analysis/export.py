"""A summary for programs: plain JSON values, and nothing but what the page of the manual says."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from bench.analysis.aa import Copy, copies
from bench.analysis.flags import Flag
from bench.analysis.latency import Latency
from bench.analysis.summary import CellSummary, Summary
from bench.model import Cell


def as_json(
    summary: Summary, flags: Iterable[Flag] = (), outcome: str | None = None
) -> dict[str, Any]:
    """The run, its cells, its A/A cells and flags; what does not exist is None (null), never 0.

    ``outcome`` is how the run ended, None for one that was killed.
    """
    return {
        "run": summary.run,
        "outcome": outcome,
        "shared_kernel": summary.shared_kernel,
        "blocks": summary.blocks,
        "cells": [_cell(cell) for cell in summary.cells],
        "latencies": [_latency(latency) for latency in summary.latencies],
        "aa": [_copy(copy) for copy in copies(summary)],
        "flags": [_flag(flag) for flag in flags],
    }


def _cell(cell: CellSummary) -> dict[str, Any]:
    return {
        **_which(cell.cell),
        "metric": cell.metric.name,
        "unit": cell.unit,
        "better": cell.better.value,
        "headline": cell.metric.headline,
        "median": cell.median,
        "ci": None if cell.ci is None else list(cell.ci),
        "ratio": cell.ratio,
        "ratio_ci": None if cell.ratio_ci is None else list(cell.ratio_ci),
        "half_width": cell.half_width,
        "pairs": cell.pairs,
        "verdict": cell.verdict.kind.value,
        "words": cell.verdict.words,
        "completed": cell.completed,
        "skipped": cell.skipped,
        "failed": cell.failed,
        "rested": cell.rested,
        "zeros": cell.zeros,
        "reason": cell.reason,
    }


def _copy(copy: Copy) -> dict[str, Any]:
    row = copy.row
    return {
        **_which(row.cell),
        "metric": row.metric.name,
        "ratio": row.ratio,
        "ratio_ci": None if row.ratio_ci is None else list(row.ratio_ci),
        "covers_1": copy.covers,
        "smallest_effect": copy.smallest,
    }


def _latency(latency: Latency) -> dict[str, Any]:
    return {
        **_which(latency.cell),
        "requests": latency.requests,
        "percentiles": {f"{at:g}": seconds for at, seconds in latency.percentiles.items()},
        "intervals": {f"{at:g}": list(ends) for at, ends in latency.intervals.items()},
    }


def _which(cell: Cell) -> dict[str, Any]:
    return {
        "driver": cell.driver,
        "aa": cell.aa,
        "access": cell.access.value,
        "placement": cell.placement.value,
        "workload": cell.workload,
    }


def _flag(flag: Flag) -> dict[str, Any]:
    return {
        "kind": flag.kind.value,
        "severity": flag.severity.value,
        "subject": flag.subject,
        "evidence": flag.evidence,
    }
