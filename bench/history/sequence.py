"""Stored runs in the order in which they were made, each boiled down to the values of its cells."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Generic, TypeVar

from bench.analysis.series import Series, series
from bench.errors import StoreError, UsageError
from bench.model import Cell, RunInfo, Status
from bench.store import StoredRun, load, load_head


@dataclass(frozen=True, slots=True, eq=False)
class Head:
    """What a stored run says of itself before its first trial. ``created`` is in UTC."""

    path: Path
    info: RunInfo
    created: datetime


@dataclass(frozen=True, slots=True, eq=False)
class Came:
    """What one cell of a run came to.

    ``status`` is COMPLETED where any trial was, else FAILED where any failed or the run ended
    before it could; SKIPPED where there were no others. ``series`` has the values by metric name.
    """

    status: Status
    reason: str
    series: Mapping[str, Series]


@dataclass(frozen=True, slots=True, eq=False)
class Measured(Head):
    """A stored run, boiled down; ``cells`` in the plan's order."""

    cells: Mapping[Cell, Came]


R = TypeVar("R", bound=Head)


@dataclass(frozen=True, slots=True)
class Past(Generic[R]):
    """The runs that could be read, from the oldest to the newest, a line on each that could not,
    and one on each that was there ``twice``."""

    runs: tuple[R, ...]
    left_out: tuple[str, ...]
    twice: tuple[str, ...] = ()


def runs_at(folders: Sequence[Path]) -> tuple[Path, ...]:
    """The runs' folders among ``folders`` and just below them, each once.

    Raises UsageError for a folder that is no run and holds none.
    """
    found: dict[Path, None] = {}
    for folder in folders:
        inside = [folder] if _looks_like_a_run(folder) else _below(folder)
        if not inside:
            raise UsageError(
                f"{folder}: is not a run, and holds none: there is no run.json",
                "give runs, or the folder that `netbench run` keeps them in",
            )
        found |= dict.fromkeys(one.resolve() for one in inside)
    return tuple(found)


def read(paths: Sequence[Path]) -> Past[Measured]:
    """Read the runs at ``paths``: what is not whole is left out and said, the rest is in order.

    The order is that of when runs began; a run that is there twice is taken once. Raises UsageError
    where nothing is left.
    """
    return _in_order(paths, boiled_down)


def read_heads(paths: Sequence[Path]) -> Past[Head]:
    """Likewise the heads alone: whether the rest is whole is not known yet."""
    return _in_order(paths, _head)


def boiled_down(path: Path) -> Measured:
    """Read one run. Raises StoreError."""
    run = load(path)
    return Measured(path, run.info, _created(path, run.info), _cells(run))


def _head(path: Path) -> Head:
    info = load_head(path)
    return Head(path, info, _created(path, info))


def _in_order(paths: Sequence[Path], read_one: Callable[[Path], R]) -> Past[R]:
    runs: dict[tuple[datetime, str], R] = {}
    left_out, twice = [], []
    for path in paths:
        try:
            found = read_one(path)
        except StoreError as fault:
            left_out.append(str(fault))
            continue
        first = runs.setdefault((found.created, found.info.run), found)
        if first is not found:
            twice.append(f"{path}: is the same run as {first.path}")
    if not runs:
        raise UsageError("none of these runs can be read", left_out[0] if left_out else "")
    return Past(tuple(runs[key] for key in sorted(runs)), tuple(left_out), tuple(twice))


def _looks_like_a_run(folder: Path) -> bool:
    return any((folder / name).exists() for name in ("run.json", "trials.jsonl"))


def _below(folder: Path) -> list[Path]:
    try:
        return [entry for entry in sorted(folder.iterdir()) if _looks_like_a_run(entry)]
    except FileNotFoundError:
        raise UsageError(f"{folder}: there is no such folder", "give the folder of runs") from None
    except OSError as fault:
        raise UsageError(f"{folder}: {fault.strerror}", "give the folder of runs") from None


def _created(path: Path, info: RunInfo) -> datetime:
    try:
        found = datetime.fromisoformat(info.created)
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        raise StoreError(f"{path / 'run.json'}: created, {info.created!r}, is no time") from None


def _cells(run: StoredRun) -> dict[Cell, Came]:
    values = series(run)
    ended: dict[Cell, dict[Status, str]] = {cell: {} for cell in run.info.plan.cells}
    for result in run.results:
        ended[result.cell].setdefault(result.status, result.reason)
    of_cell: dict[Cell, dict[str, Series]] = {}
    for (cell, metric), found in values.items():
        of_cell.setdefault(cell, {})[metric] = found
    return {cell: _came(how, of_cell.get(cell, {})) for cell, how in ended.items()}


def _came(ended: Mapping[Status, str], values: Mapping[str, Series]) -> Came:
    for status in (Status.COMPLETED, Status.FAILED, Status.SKIPPED):
        if status in ended:
            return Came(status, ended[status], values)
    return Came(Status.FAILED, "the run ended before its first trial", values)
