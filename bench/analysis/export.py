"""A summary for programs: plain JSON values, and nothing but what the page of the manual says."""

from __future__ import annotations

from typing import Any

from bench.analysis.summary import CellSummary, Summary


def as_json(summary: Summary) -> dict[str, Any]:
    """``{"run": …, "cells": […]}``; what does not exist is None (null), never 0."""
    return {"run": summary.run, "cells": [_cell(cell) for cell in summary.cells]}


def _cell(cell: CellSummary) -> dict[str, Any]:
    return {
        "driver": cell.driver,
        "aa": cell.cell.aa,
        "access": cell.access.value,
        "placement": cell.placement.value,
        "workload": cell.workload,
        "metric": cell.metric.name,
        "unit": cell.unit,
        "better": cell.better.value,
        "median": cell.median,
        "ci": None if cell.ci is None else list(cell.ci),
        "ratio": cell.ratio,
        "ratio_ci": None if cell.ratio_ci is None else list(cell.ratio_ci),
        "completed": cell.completed,
        "skipped": cell.skipped,
        "failed": cell.failed,
        "reason": cell.reason,
    }
