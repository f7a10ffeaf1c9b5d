"""Writing a run: what a method has returned from is on the disk."""

from __future__ import annotations

import contextlib
import gzip
import os
from pathlib import Path
from tempfile import TemporaryFile

from bench.errors import StoreError, UsageError
from bench.model import PlannedTrial, RunEnd, RunInfo, Trial
from bench.store.codec import encode
from bench.workloads.base import ToolOutput

GZIP_FROM = 64 * 1024


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
        self._replace(self.path / "run.json", encode(info, self.path / "run.json", indent=2))

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
        line = encode(trial, trial.cell) + b"\n"
        try:
            self._trials.write(line)
            self._trials.flush()
            os.fsync(self._trials.fileno())
        except OSError as fault:
            raise _disk(self.path, fault) from fault

    def end(self, end: RunEnd) -> None:
        """Write how the run ended."""
        self._replace(self.path / "end.json", encode(end, self.path / "end.json", indent=2))

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


def _disk(path: Path, fault: OSError) -> StoreError:
    return StoreError(f"{path}: {fault.strerror}", "make room or name another folder with --out")
