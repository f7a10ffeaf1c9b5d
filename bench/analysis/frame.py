"""A stored run as a tidy pandas frame: one row a trial and metric."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.store import Result, StoredRun

SAMPLE_COLUMNS = (
    "run",
    "sequence",
    "block",
    "client",
    "server",
    "driver",
    "aa",
    "access",
    "placement",
    "workload",
    "metric",
    "unit",
    "value",
    "status",
    "reason",
)


def samples_frame(run: StoredRun) -> pd.DataFrame:
    """One row per trial and metric of its workload, ``value`` in the row's ``unit``.

    A trial that was skipped or failed has its rows too, with its reason and without a value: what
    was not measured is seen to be missing and can not be taken for a number. ``client`` is the host
    the client really was on: the server's own where the placement is same-host.
    """
    described = {
        workload: [(metric.name, metric.unit) for metric in metrics]
        for workload, metrics in run.info.metrics.items()
    }
    results = [one for one in run.results if one.cell.workload in described]
    rows = np.array([len(described[one.cell.workload]) for one in results], dtype=np.int64)
    shown = [pair for one in results for pair in described[one.cell.workload]]
    columns: dict[str, pd.Categorical | NDArray[np.int64] | NDArray[np.float64]] = {
        "run": _texts((run.info.run for _ in results), rows),
        "sequence": _numbers((one.sequence for one in results), rows),
        "block": _numbers((one.block for one in results), rows),
        "client": _texts((one.pair.client_for(one.cell.placement) for one in results), rows),
        "server": _texts((one.pair.server for one in results), rows),
        "driver": _texts((one.cell.driver for one in results), rows),
        "aa": _numbers((one.cell.aa for one in results), rows),
        "access": _texts((one.cell.access.value for one in results), rows),
        "placement": _texts((one.cell.placement.value for one in results), rows),
        "workload": _texts((one.cell.workload for one in results), rows),
        "metric": _texts(name for name, _ in shown),
        "unit": _texts(unit for _, unit in shown),
        "value": np.array([value for one in results for value in _values(one, described)]),
        "status": _texts((one.status.value for one in results), rows),
        "reason": _texts((one.reason for one in results), rows),
    }
    return pd.DataFrame({name: columns[name] for name in SAMPLE_COLUMNS})


def _values(one: Result, described: dict[str, list[tuple[str, str]]]) -> list[float]:
    values = {sample.metric: sample.value for sample in one.samples}
    return [values.get(name, math.nan) for name, _ in described[one.cell.workload]]


def _numbers(values: Iterable[int], rows: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.repeat(np.fromiter(values, dtype=np.int64), rows)


def _texts(values: Iterable[str], rows: NDArray[np.int64] | None = None) -> pd.Categorical:
    """Few different texts in very many rows: a number a row, and each text once.

    With ``rows`` each value stands in so many of them.
    """
    numbers: dict[str, int] = {}
    codes = np.fromiter((numbers.setdefault(text, len(numbers)) for text in values), dtype=np.int32)
    return pd.Categorical.from_codes(
        codes if rows is None else np.repeat(codes, rows),
        categories=pd.Index(list(numbers), dtype="str"),
    )
