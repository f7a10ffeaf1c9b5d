"""A stored run as tidy pandas frames: one row a trial, and one row a trial and metric."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd

from bench.model import Trial
from bench.store import StoredRun

TRIAL_COLUMNS = (
    "run",
    "sequence",
    "block",
    "client",
    "server",
    "driver",
    "access",
    "placement",
    "workload",
    "status",
    "reason",
    "started",
    "elapsed",
    "tool",
)
SAMPLE_COLUMNS = (
    "run",
    "sequence",
    "block",
    "client",
    "server",
    "driver",
    "access",
    "placement",
    "workload",
    "metric",
    "unit",
    "value",
    "status",
    "reason",
)
# Few different texts in very many rows: categories keep a run of 100,000 trials small.
_REPEATED = (
    "run",
    "client",
    "server",
    "driver",
    "access",
    "placement",
    "workload",
    "metric",
    "unit",
    "status",
    "reason",
)


def trials_frame(run: StoredRun) -> pd.DataFrame:
    """One row per trial that ended, in the order in which they ended.

    ``client`` is the host the client really was on: the server's own where the placement is
    same-host. ``started`` is Unix time; ``elapsed`` and ``tool`` are seconds.
    """
    rows = [
        (
            *_place(run, trial),
            *(trial.status.value, trial.reason),
            *(trial.started, trial.elapsed, trial.tool),
        )
        for trial in run.trials
    ]
    return _frame(rows, TRIAL_COLUMNS)


def samples_frame(run: StoredRun) -> pd.DataFrame:
    """One row per trial and metric of its workload, ``value`` in the row's ``unit``.

    A trial that was skipped or failed has its rows too, with its reason and without a value: what
    was not measured is seen to be missing and can not be taken for a number.
    """
    return _frame(list(_sample_rows(run)), SAMPLE_COLUMNS)


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
        *(cell.driver, cell.access.value, cell.placement.value, cell.workload),
    )


def _frame(rows: list[tuple[Any, ...]], columns: tuple[str, ...]) -> pd.DataFrame:
    frame = pd.DataFrame.from_records(rows, columns=list(columns))
    kinds = {
        **dict.fromkeys(_REPEATED, "category"),
        **dict.fromkeys(("sequence", "block"), "int64"),
        **dict.fromkeys(("value", "started", "elapsed", "tool"), "float64"),
    }
    return frame.astype({name: kinds[name] for name in columns})
