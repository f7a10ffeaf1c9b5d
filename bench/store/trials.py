"""The trials of a run that was read: what they came to in memory, the rest on disk.

A trial's line has some 3 KB, most of it in what few readers ask for (CPU times of every core,
interface counters, histograms). Held as objects, 100,000 of them would take 600 MB. So the first
pass checks all of every line and keeps what reports want, as little as it can be made: results,
histograms, and numbers in columns. Whoever asks for whole trials goes through the file again, one
line in memory at a time.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import overload

from bench.errors import StoreError
from bench.model import Cell, HostPair, Sample, Status, Step, Trial
from bench.store.codec import DAMAGED, decode
from bench.store.readings import Readings


@dataclass(frozen=True, slots=True)
class Result:
    """What a trial came to: a Trial without what was read around it and from second to second."""

    sequence: int
    block: int
    pair: HostPair
    cell: Cell
    status: Status
    reason: str
    samples: tuple[Sample, ...]
    unattested: str
    steps: tuple[Step, ...] = ()


def result_of(trial: Trial, pair: HostPair, cell: Cell) -> Result:
    """A trial's result, with these in place of its own pair and cell, which are equal to them."""
    return Result(
        trial.sequence,
        trial.block,
        pair,
        cell,
        trial.status,
        trial.reason,
        trial.samples,
        trial.unattested,
        trial.steps,
    )


class StoredTrials(Sequence[Trial]):
    """The trials of ``trials.jsonl`` in the order in which they ended, read when asked for.

    Going through them reads the file once more; so does asking for one. ``results``,
    ``readings`` and ``histograms`` are in memory.
    The file may grow meanwhile: what came later is no part of this. StoreError where the file has
    gone, was cut or was changed since it was first read.
    """

    __slots__ = ("_begins", "_path", "histograms", "readings", "results")

    def __init__(
        self,
        path: Path,
        begins: array[int],
        results: tuple[Result, ...],
        readings: Readings,
        histograms: tuple[bytes | None, ...],
    ) -> None:
        """``begins`` has the place in the file where each trial's line begins."""
        self._path = path
        self._begins = begins
        self.results = results
        self.readings = readings
        self.histograms = histograms

    def __len__(self) -> int:
        return len(self._begins)

    def __iter__(self) -> Iterator[Trial]:
        for number, line in self._lines():
            yield decode(Trial, line, self._path, number)

    @overload
    def __getitem__(self, at: int) -> Trial: ...
    @overload
    def __getitem__(self, at: slice) -> tuple[Trial, ...]: ...
    def __getitem__(self, at: int | slice) -> Trial | tuple[Trial, ...]:
        places = range(len(self))[at]
        if isinstance(places, range):
            return tuple(self[place] for place in places)
        try:
            with self._path.open("rb") as file:
                file.seek(self._begins[places])
                line = file.readline()
        except OSError as fault:
            raise StoreError(f"{self._path}: {fault.strerror}") from fault
        return decode(Trial, line, self._path, places + 1)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or isinstance(other, str | bytes):
            return NotImplemented
        return len(self) == len(other) and all(
            one == another for one, another in zip(self, other, strict=True)
        )

    def __hash__(self) -> int:
        return hash((self._path, len(self)))

    def __repr__(self) -> str:
        return f"<{len(self)} trials of {self._path}>"

    def _lines(self) -> Iterator[tuple[int, bytes]]:
        number = 0
        try:
            with self._path.open("rb") as file:
                for number, line in enumerate(file, start=1):
                    if number > len(self):
                        return
                    yield number, line
        except OSError as fault:
            raise StoreError(f"{self._path}: {fault.strerror}") from fault
        if number < len(self):
            raise StoreError(f"{self._path}: was cut while it was read", "read the run again")


def undecodable(path: Path, sequence: int, cell: Cell) -> StoreError:
    """What to raise for a histogram that is none."""
    return StoreError(
        f"{path}: trial {sequence} ({cell}): its latency histogram cannot be decoded", DAMAGED
    )
