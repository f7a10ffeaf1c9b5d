"""A run on disk: the only place where measuring and reading meet.

    RUN/run.json       the head: plan, versions, machine facts; written before the first trial
    RUN/trials.jsonl   one line per trial, appended and synced as each one ends
    RUN/raw/           what the tools printed, verbatim (gzip where it is long)
    RUN/end.json       how the run ended and what it cost; absent when netbench was killed

What is on disk is whole up to its last line: a run that was cut off at any moment can be read.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from bench.errors import StoreError, UsageError
from bench.model import PlannedTrial, RunEnd, RunInfo, Trial
from bench.workloads.base import ToolOutput

FORMAT = 2
GZIP_FROM = 64 * 1024

T = TypeVar("T")

# Made once: making one costs more than reading a trial with it.
_ADAPTERS: dict[type, TypeAdapter[Any]] = {
    kind: TypeAdapter(kind) for kind in (RunInfo, Trial, RunEnd)
}


@dataclass(frozen=True, slots=True)
class StoredRun:
    """A run read back. ``trials`` are in the order in which they ended; ``end`` is None for a run
    that was cut off; ``notes`` say what could not be read and was left out."""

    path: Path
    info: RunInfo
    trials: tuple[Trial, ...]
    end: RunEnd | None
    notes: tuple[str, ...] = ()


class RunWriter:
    """Writes one run. Every method returns only when its data is on the disk."""

    def __init__(self, path: Path, info: RunInfo) -> None:
        self.path = path
        refuse_existing(path)
        self._raw = path / "raw"
        try:
            path.mkdir(parents=True)
            self._raw.mkdir()
            self._trials = (path / "trials.jsonl").open("ab")
            _sync_folder(path.parent)
        except OSError as fault:
            raise _disk(path, fault) from fault
        self.head(info)

    def head(self, info: RunInfo) -> None:
        """Write the head; again when more is known of the run, before its first trial."""
        self._replace(self.path / "run.json", _dump(RunInfo, info, indent=2))

    def raw(self, planned: PlannedTrial, output: ToolOutput) -> tuple[str, ...]:
        """Keep a tool's output; returns the files' names relative to the run."""
        stem = f"{planned.sequence:05d}-" + str(planned.cell).replace("/", "_")
        names = []
        for stream, data in (("stdout", output.stdout), ("stderr", output.stderr)):
            if not data:
                continue
            long = len(data) >= GZIP_FROM
            name = f"{stem}.{stream}.gz" if long else f"{stem}.{stream}"
            # No modification time in the file: equal output gives equal bytes.
            self._write(self._raw / name, gzip.compress(data, 6, mtime=0) if long else data)
            names.append(f"raw/{name}")
        return tuple(names)

    def trial(self, trial: Trial) -> None:
        """Append one trial and sync it."""
        # JSON has no word for them: written, they would make the line unreadable.
        values = [*(one.value for one in trial.samples), *(one.value for one in trial.intervals)]
        if not all(map(math.isfinite, values)):
            raise StoreError(f"{trial.cell}: a value that is not a number is never stored")
        try:
            self._trials.write(_dump(Trial, trial) + b"\n")
            self._trials.flush()
            os.fsync(self._trials.fileno())
        except OSError as fault:
            raise _disk(self.path, fault) from fault

    def end(self, end: RunEnd) -> None:
        """Write how the run ended."""
        self._replace(self.path / "end.json", _dump(RunEnd, end, indent=2))

    def close(self) -> None:
        """Never raises: every trial was synced as it was written, or its failure told then."""
        with contextlib.suppress(OSError):
            self._trials.close()

    def _replace(self, path: Path, data: bytes) -> None:
        """Write a file that is there either whole or not at all."""
        whole = path.with_name(f"{path.name}.new")
        self._write(whole, data)
        try:
            whole.replace(path)
            _sync_folder(path.parent)
        except OSError as fault:
            raise _disk(path, fault) from fault

    def _write(self, path: Path, data: bytes) -> None:
        try:
            with path.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        except OSError as fault:
            raise _disk(path, fault) from fault


def claim(path: Path) -> None:
    """See to it, before anything else is done for a run, that its folder can be made at ``path``.

    Raises UsageError where there is something already, as a run never adds to another, and
    StoreError where nothing can be written.
    """
    refuse_existing(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=path.parent):
            return
    except OSError as fault:
        raise _disk(path.parent, fault) from fault


def refuse_existing(path: Path) -> None:
    """Raise UsageError where ``path`` is taken already."""
    if os.path.lexists(path):
        raise UsageError(
            f"{path} is already there", "choose another --name or --out, or remove that folder"
        )


def _sync_folder(path: Path) -> None:
    """Make a new name in a folder survive a power cut, as its content does."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def load(path: Path) -> StoredRun:
    """Read a run.

    Raises StoreError, naming the file and line, for anything that is not a run of this format. A
    last line that was cut off in mid-write is left out and noted; a broken line before it is not
    forgiven, as it cannot come from being cut off.
    """
    head = path / "run.json"
    raw = _read(head, "is not a run of netbench: it has no run.json")
    found = _json(head, raw)
    version = found.get("format") if isinstance(found, dict) else None
    if not isinstance(version, int):
        raise StoreError(f"{head}: has no format number", "it was not written by netbench")
    if version > FORMAT:
        raise StoreError(
            f"{head}: format {version} is newer than this netbench reads ({FORMAT})",
            "upgrade netbench",
        )
    if version < 1:
        raise StoreError(f"{head}: there is no format {version}")
    info = _validated(RunInfo, head, raw)
    notes: list[str] = []
    trials = tuple(_trials(path / "trials.jsonl", notes))
    end_file = path / "end.json"
    end = _validated(RunEnd, end_file, _read(end_file, "is gone")) if end_file.exists() else None
    return StoredRun(path, info, trials, end, tuple(notes))


def _trials(path: Path, notes: list[str]) -> Iterator[Trial]:
    reader = _ADAPTERS[Trial]
    for number, line in enumerate(_lines(path, "is missing: the run is not whole"), start=1):
        if not line.endswith(b"\n"):
            notes.append(f"{path.name}: the last line was cut off and is left out")
            return
        try:
            trial: Trial = reader.validate_json(line)
        except ValidationError as fault:
            raise StoreError(f"{path}:{number}: {_first(fault)}", "the file is damaged") from None
        if any(not math.isfinite(sample.value) for sample in trial.samples):
            raise StoreError(f"{path}:{number}: a sample that is not a number")
        yield trial


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
    except ValueError as fault:
        raise StoreError(f"{path}: not JSON ({fault})", "the file is damaged") from None


def _validated(kind: type[T], path: Path, raw: bytes) -> T:
    try:
        found: T = _ADAPTERS[kind].validate_json(raw)
    except ValidationError as fault:
        raise StoreError(f"{path}: {_first(fault)}", "the file is damaged") from None
    return found


def _first(fault: ValidationError) -> str:
    error = fault.errors()[0]
    where = ".".join(map(str, error["loc"]))
    return f"{where}: {error['msg']}" if where else str(error["msg"])


def _dump(kind: type[T], value: T, indent: int | None = None) -> bytes:
    dumped: bytes = _ADAPTERS[kind].dump_json(value, indent=indent)
    return dumped


def _disk(path: Path, fault: OSError) -> StoreError:
    return StoreError(f"{path}: {fault.strerror}", "make room or name another folder with --out")
