"""A comparison for programs: plain JSON values, as `docs/compare.md` describes them."""

from __future__ import annotations

from typing import Any

from bench.analysis.change import CellChange, Comparison
from bench.analysis.summary import CellSummary
from bench.estimate import Change
from bench.model import RunInfo

MEANINGS = {
    0: "nothing is credibly worse than the threshold",
    1: "something is credibly worse than the threshold, newly failed or newly skipped",
    2: "nothing could be judged",
}


def as_json(found: Comparison, exit_code: int) -> dict[str, Any]:
    """The comparison; what does not exist is None (null), never 0."""
    return {
        "base": _run(found.base),
        "new": _run(found.new),
        "threshold": found.threshold,
        "exit": exit_code,
        "meaning": MEANINGS[exit_code],
        "differences": [
            {"what": one.what, "base": one.base, "new": one.new, "matters": one.matters}
            for one in found.differences
        ],
        "cells": [_cell(row, found.threshold) for row in found.cells],
    }


def _run(run: RunInfo) -> dict[str, Any]:
    return {"run": run.run, "created": run.created, "netbench": run.netbench}


def _cell(row: CellChange, threshold: float) -> dict[str, Any]:
    return {
        "driver": row.cell.driver,
        "aa": row.cell.aa,
        "access": row.cell.access.value,
        "placement": row.cell.placement.value,
        "workload": row.cell.workload,
        "metric": row.metric.name,
        "unit": row.metric.unit,
        "better": row.metric.better.value,
        "verdict": row.kind.value,
        "words": row.words(threshold),
        "regression": row.regression,
        "judged_by": "value" if row.is_baseline else "ratio",
        "change": _change(row.change),
        "value_change": _change(row.value),
        "p": row.p,
        "p_adjusted": row.adjusted,
        "base": _side(row.base),
        "new": _side(row.new),
    }


def _change(found: Change | None) -> dict[str, Any] | None:
    if found is None or found.ratio is None:
        return None
    return {
        "ratio": found.ratio,
        "ci": None if found.interval is None else list(found.interval),
    }


def _side(cell: CellSummary | None) -> dict[str, Any] | None:
    if cell is None:
        return None
    return {
        "median": cell.median,
        "ci": None if cell.ci is None else list(cell.ci),
        "ratio": cell.ratio,
        "ratio_ci": None if cell.ratio_ci is None else list(cell.ratio_ci),
        "pairs": cell.pairs,
        "completed": cell.completed,
        "skipped": cell.skipped,
        "failed": cell.failed,
        "reason": cell.reason,
    }
