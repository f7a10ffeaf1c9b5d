"""A stored run as a tidy pandas frame: one row a trial and metric."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd

from bench.model import Trial
from bench.store import StoredRun

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
_NUMBERS = {"sequence": "int64", "block": "int64", "aa": "int64", "value": "float64"}


def samples_frame(run: StoredRun) -> pd.DataFrame:
    """One row per trial and metric of its workload, ``value`` in the row's ``unit``.

    A trial that was skipped or failed has its rows too, with its reason and without a value: what
    was not measured is seen to be missing and can not be taken for a number. ``client`` is the host
    the client really was on: the server's own where the placement is same-host.
    """
    frame = pd.DataFrame.from_records(list(_sample_rows(run)), columns=list(SAMPLE_COLUMNS))
    # Few different texts in very many rows: categories keep a run of 100,000 trials small.
    kinds = {name: _NUMBERS.get(name, "category") for name in SAMPLE_COLUMNS}
    return frame.astype(kinds)


def _sample_rows(run: StoredRun) -> Iterator[tuple[Any, ...]]:
    metrics = {
        workload: [(metric.name, metric.unit) for metric in described]
        for workload, described in run.info.metrics.items()
    }
    for trial in run.trials:
        place = _place(run, trial)
        values = {sample.metric: sample.value for sample in trial.samples}
        for name, unit in metrics.get(trial.cell.workload, ()):
            yield (*place, name, unit, values.get(name), trial.status.value, trial.reason)


def _place(run: StoredRun, trial: Trial) -> tuple[Any, ...]:
    cell = trial.cell
    return (
        *(run.info.run, trial.sequence, trial.block),
        *(trial.pair.client_for(cell.placement), trial.pair.server),
        *(cell.driver, cell.aa, cell.access.value, cell.placement.value, cell.workload),
    )
