"""Reading a run: all of it is checked before any of it is used."""

from __future__ import annotations

import base64
import gc
import json
from array import array
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.errors import StoreError
from bench.model import Cell, HostPair, Plan, RunEnd, RunInfo, Trial
from bench.store.codec import DAMAGED, FORMAT, decode, decode_passing
from bench.store.readings import Readings
from bench.store.trials import Result, StoredTrials, result_of, undecodable


@dataclass(frozen=True, slots=True)
class StoredRun:
    """A run read back.

    ``trials`` are in the order in which they ended, and of a run from disk they are read anew by
    whoever goes through them (see `StoredTrials`): ask for ``results`` and ``readings`` where they
    say enough. ``end`` is None for a run that was cut off; ``notes`` say what could not be read and
    was left out.
    """

    path: Path
    info: RunInfo
    trials: Sequence[Trial]
    end: RunEnd | None
    notes: tuple[str, ...] = ()

    @property
    def results(self) -> Sequence[Result]:
        """What each of the trials came to, in the same order, without reading anything."""
        if isinstance(self.trials, StoredTrials):
            return self.trials.results
        return tuple(result_of(trial, trial.pair, trial.cell) for trial in self.trials)

    @property
    def readings(self) -> Readings:
        """What was read around the trials, as columns, without reading anything."""
        if isinstance(self.trials, StoredTrials):
            return self.trials.readings
        return Readings(self.trials)

    @property
    def histograms(self) -> Sequence[bytes | None]:
        """Each trial's encoded HdrHistogram as bytes, or None, without reading anything.

        Raises StoreError where one is not base64 and was not read from disk.
        """
        if isinstance(self.trials, StoredTrials):
            return self.trials.histograms
        found = []
        for trial in self.trials:
            try:
                found.append(None if trial.histogram is None else base64.b64decode(trial.histogram))
            except ValueError:
                raise undecodable(self.path / "trials.jsonl", trial.sequence, trial.cell) from None
        return tuple(found)


def load(path: Path) -> StoredRun:
    """Read a run.

    Raises StoreError, naming the file and line, for anything that is not a run of this format or
    an earlier one, or contradicts itself. A last line that was cut off in mid-write is left out
    and noted; a broken line before it is not forgiven, as it cannot come from being cut off.
    """
    info = load_head(path)
    notes: list[str] = []
    with _no_collector():
        trials = _trials(path / "trials.jsonl", info.plan, notes)
    end_file = path / "end.json"
    end = decode(RunEnd, _read(end_file, "is gone"), end_file) if end_file.exists() else None
    return StoredRun(path, info, trials, end, tuple(notes))


def load_head(path: Path) -> RunInfo:
    """The head of a run, read and checked as by `load`; StoreError likewise."""
    head = path / "run.json"
    if not path.is_dir():
        raise StoreError(f"{path}: there is no such folder", "give the folder of a run")
    raw = _read(head, "is missing: this is no run of netbench")
    _check_format(head, _json(head, raw))
    info = decode(RunInfo, raw, head)
    _check_plan(head, info.plan)
    return info


def _check_format(head: Path, found: Any) -> None:
    version = found.get("format") if isinstance(found, dict) else None
    if not isinstance(version, int) or isinstance(version, bool):
        raise StoreError(f"{head}: has no format number", "it was not written by netbench")
    if version > FORMAT:
        raise StoreError(
            f"{head}: format {version} is newer than this netbench reads ({FORMAT})",
            "upgrade netbench",
        )
    if version < 1:
        raise StoreError(f"{head}: there is no format {version}")


def _check_plan(head: Path, plan: Plan) -> None:
    least = {"blocks": 1, "duration": 1, "warmup": 0}
    for name, bound in least.items():
        if getattr(plan, name) < bound:
            raise StoreError(f"{head}: plan.{name} is below {bound}", DAMAGED)


@contextmanager
def _no_collector() -> Iterator[None]:
    """Reading makes many objects and no cycles: looking for some meanwhile would cost as much again
    as the reading."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _trials(path: Path, plan: Plan, notes: list[str]) -> StoredTrials:
    begins = array("Q")
    results: list[Result] = []
    readings = Readings()
    histograms: list[bytes | None] = []
    numbers: dict[int, int] = {}
    # Few different ones in very many trials: one object each.
    cells: dict[Cell, Cell] = {cell: cell for cell in plan.cells}
    pairs: dict[HostPair, HostPair] = {}
    begin = 0
    for number, line in enumerate(_lines(path, "is missing: the run is not whole"), start=1):
        if not line.endswith(b"\n"):
            notes.append(f"{path.name}: the last line was cut off and is left out")
            break
        trial, histogram = decode_passing(line, path, number)
        cell = cells.get(trial.cell)
        if cell is None:
            raise StoreError(f"{path}:{number}: {trial.cell} is no cell of the run's plan", DAMAGED)
        wrong = _wrong(trial, plan)
        try:
            readings.add(number - 1, trial)
        except OverflowError:
            wrong = wrong or "a count that is too large for any"
        if not wrong and numbers.setdefault(trial.sequence, number) != number:
            wrong = f"trial {trial.sequence} is in line {numbers[trial.sequence]} already"
        if wrong:
            raise StoreError(f"{path}:{number}: {wrong}", DAMAGED)
        pair = pairs.setdefault(trial.pair, trial.pair)
        results.append(result_of(trial, pair, cell))
        histograms.append(histogram)
        begins.append(begin)
        begin += len(line)
    return StoredTrials(path, begins, tuple(results), readings, tuple(histograms))


def _wrong(trial: Trial, plan: Plan) -> str:
    """What of a trial's numbers cannot be, next to the run's plan; empty for nothing."""
    if not 0 <= trial.block < plan.blocks:
        return f"block {trial.block} is none of the plan's {plan.blocks}"
    if not 0 <= trial.sequence < plan.blocks * len(plan.cells):
        return f"trial {trial.sequence} is none of the plan's {plan.blocks * len(plan.cells)}"
    for end in trial.ends:
        if end.seconds < 0:
            return f"the reading of {end.host} took {end.seconds} s"
    return ""


def _read(path: Path, otherwise: str) -> bytes:
    return b"".join(_lines(path, otherwise))


def _lines(path: Path, otherwise: str) -> Iterator[bytes]:
    """A file's lines one by one: of a long run only one is held beside what became of it."""
    try:
        with path.open("rb") as file:
            yield from file
    except (FileNotFoundError, NotADirectoryError):
        raise StoreError(f"{path.parent}: {path.name} {otherwise}") from None
    except OSError as fault:
        raise StoreError(f"{path}: {fault.strerror}") from fault


def _json(path: Path, raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except (ValueError, RecursionError) as fault:
        raise StoreError(f"{path}: not JSON ({fault})", DAMAGED) from None
