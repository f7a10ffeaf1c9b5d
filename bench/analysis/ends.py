"""What the hosts did in all trials of a run, as arrays: 100,000 trials are a million numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.estimate import Floats, Ints
from bench.model import Cell, Status
from bench.store import CORE, END, Result, StoredRun

Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Ends:
    """The ends of a run's trials, one entry each, in the order of the trials and of their own.

    ``trial`` is the place of its trial in the run's results. ``who`` the place in ``whos`` of its
    host, its roles and the CPUs it was held to. ``pressure`` is not a number where none is known.
    ``first`` is the place of its first core in ``cores`` and ``count`` the number of them; a row of
    ``cores`` has the seconds of one by kind, in the order of `bench.store.CORE`.
    """

    trial: Ints
    who: Ints
    whos: tuple[tuple[str, tuple[str, ...], str], ...]
    seconds: Floats
    pressure: Floats
    retransmits: Floats
    drops: Floats
    first: Ints
    count: Ints
    cores: Floats

    @property
    def leads(self) -> Bools:
        """Of each end, whether it is its trial's first: of a shared kernel's the only one."""
        return np.concatenate((np.ones(min(1, self.trial.size), bool), np.diff(self.trial) != 0))

    @property
    def end_of_core(self) -> Ints:
        """Of each row of ``cores``, the place of its end."""
        return np.repeat(np.arange(self.count.size), self.count)

    def spent(self) -> Floats:
        """CPU time of all cores of each end together: a row an end, its kinds as in ``cores``."""
        total = np.zeros((self.count.size, len(CORE)))
        some = self.count > 0
        if some.any():
            total[some] = np.add.reduceat(self.cores, self.first[some], axis=0)
        return total

    def total(self, values: Floats, trials: int) -> Floats:
        """The sum of the ends' ``values`` for each of so many trials."""
        return np.bincount(self.trial, weights=values, minlength=trials).astype(np.float64)


def ends(run: StoredRun) -> Ends:
    """The ends of all trials of a run."""
    read = run.readings
    values = np.frombuffer(read.end_values, dtype=np.float64).reshape(-1, len(END))
    seconds, pressure, retransmits, drops, cores = values.T
    count = cores.astype(np.int64)
    return Ends(
        _ints(read.end_trials),
        _ints(read.end_whos),
        read.whos,
        seconds,
        pressure,
        retransmits,
        drops,
        np.cumsum(count) - count,
        count,
        np.frombuffer(read.core_values, dtype=np.float64).reshape(-1, len(CORE)),
    )


def by_cell(run: StoredRun) -> Iterator[tuple[Cell, Bools]]:
    """Each cell that has completed trials, and which of the run's trials these are; in the order
    of the plan."""
    results = run.results
    numbers = {cell: number for number, cell in enumerate(run.info.plan.cells)}
    of = np.fromiter(_numbers(results, numbers), dtype=np.int64, count=len(results))
    for cell, number in numbers.items():
        chosen = of == number
        if chosen.any():
            yield cell, chosen


def passages(run: StoredRun) -> tuple[Ints, Ints, Floats]:
    """Of every passage of a run: its trial, its place in the readings' ``whats``, its bytes."""
    read = run.readings
    return (
        _ints(read.passage_trials),
        _ints(read.passage_whats),
        np.frombuffer(read.moved, dtype=np.float64),
    )


def _numbers(results: Sequence[Result], numbers: dict[Cell, int]) -> Iterator[int]:
    for one in results:
        # New ones get the next number: a run made in memory may have cells that no plan has.
        number = numbers.setdefault(one.cell, len(numbers))
        yield number if one.status is Status.COMPLETED else -1


def _ints(values: object) -> Ints:
    return np.frombuffer(values, dtype=np.int64)  # type: ignore[call-overload,no-any-return]
