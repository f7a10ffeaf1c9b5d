"""From stored runs to all that asv needs, in one folder that is made anew each time.

    INTO/repo            a bare git repository, one commit per run
    INTO/results         asv's results, benchmarks and machines
    INTO/asv.conf.json   so that `asv --config INTO/asv.conf.json publish` finds the rest

The commits follow from the runs' heads alone. What takes time, reading each run whole and writing
what asv has of it, is done in as many processes as there are processors.
"""

from __future__ import annotations

import gc
import json
import os
import shutil
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.errors import StoreError, UsageError
from bench.history import asvfiles, repository
from bench.history.asvfiles import AtCommit
from bench.history.commits import commits
from bench.history.grids import Benchmark, grid, merged
from bench.history.infrastructure import Placed, placed_on
from bench.history.machines import by_machine, machine, machine_name
from bench.history.sequence import Head, boiled_down

# So many points are written in less time than processes take to start.
FEW = 16
MOST_PROCESSES = 8


@dataclass(frozen=True, slots=True)
class Exported:
    """What an export came to; ``left_out`` has a line on each run that no commit stands for."""

    config: Path
    runs: int
    machines: tuple[str, ...]
    benchmarks: int
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Task:
    """A point to write below ``folder``: of which runs, and whether of all their metrics."""

    folder: Path
    at: AtCommit
    paths: tuple[Path, ...]
    every_metric: bool


@dataclass(frozen=True, slots=True)
class _Done:
    """What a point holds, by benchmark its treatments; and a line on each run that is damaged."""

    holds: dict[Benchmark, tuple[str, ...]]
    damaged: dict[Path, str]


def export(
    runs: Sequence[Head], into: Path, commit_from: Path | None = None, *, every_metric: bool = False
) -> Exported:
    """Write ``runs``, which are in their order, for asv below ``into``, in place of what an export
    before has written there.

    Headline metrics are written, with ``every_metric`` all. With ``commit_from`` each run is on the
    commit of that repository that was checked out then. Raises UsageError where ``into`` holds
    something else or no run is left, StoreError and GitError where it cannot be written.
    """
    asvfiles.refuse_other_formats()
    _refuse_strangers(into)
    damaged: dict[Path, str] = {}
    try:
        into.mkdir(parents=True, exist_ok=True)
        while True:
            whole = [run for run in runs if run.path not in damaged]
            if not whole:
                raise UsageError("none of these runs can be read", next(iter(damaged.values()), ""))
            with TemporaryDirectory(dir=into, prefix=".new-") as new:
                found = _made(whole, Path(new), commit_from, every_metric=every_metric)
                if isinstance(found, Exported):
                    _put(Path(new), into)
                    left_out = (*damaged.values(), *found.left_out)
                    return replace(found, config=into / asvfiles.CONFIG, left_out=left_out)
            # A run that is not there has no commit, and all after it have others.
            damaged |= found
    except OSError as fault:
        raise StoreError(f"{into}: {fault.strerror}", "name another folder with --into") from fault


def _made(
    runs: Sequence[Head], new: Path, commit_from: Path | None, *, every_metric: bool
) -> Exported | dict[Path, str]:
    """Make everything in the folder ``new``; or say which runs are damaged, where some are."""
    left_out: tuple[str, ...] = ()
    if commit_from is None:
        hashes = repository.write(new / "repo", commits(runs))
        places = [Placed(run, one, run.created) for run, one in zip(runs, hashes, strict=True)]
    else:
        places, left_out = placed_on(commit_from, runs, new / "repo")
    results = new / "results"
    machines = by_machine(place.run for place in places)
    for its in machines.values():
        asvfiles.write_machine(results, machine(its[-1].info))
    benchmarks: dict[Benchmark, dict[str, None]] = {}
    damaged: dict[Path, str] = {}
    for done in _each(_tasks(places, results, every_metric=every_metric)):
        damaged |= done.damaged
        for benchmark, treatments in done.holds.items():
            benchmarks.setdefault(benchmark, {}).update(dict.fromkeys(treatments))
    if damaged:
        return damaged
    asvfiles.write_benchmarks(results, {one: tuple(its) for one, its in benchmarks.items()})
    asvfiles.write_config(new / asvfiles.CONFIG, "repo", repository.BRANCH)
    config = new / asvfiles.CONFIG
    return Exported(config, len(places), tuple(machines), len(benchmarks), left_out)


def _put(new: Path, into: Path) -> None:
    for name in ("repo", "results"):
        place, old = into / name, new / f"{name}.old"
        if place.exists():
            place.replace(old)
        (new / name).replace(place)
        shutil.rmtree(old, ignore_errors=True)
    (new / asvfiles.CONFIG).replace(into / asvfiles.CONFIG)


def _tasks(places: Iterable[Placed], folder: Path, *, every_metric: bool) -> list[_Task]:
    """Runs of one machine and way on one commit are one point of asv's."""
    found: dict[tuple[str, str, str], list[Placed]] = {}
    for place in places:
        info = place.run.info
        key = machine_name(info), place.commit, asvfiles.way(info.plan)
        found.setdefault(key, []).append(place)
    return [
        _Task(
            folder,
            AtCommit(name, commit, its[-1].committed, its[-1].run.created, way),
            tuple(place.run.path for place in its),
            every_metric,
        )
        for (name, commit, way), its in found.items()
    ]


def _each(tasks: Sequence[_Task]) -> Iterable[_Done]:
    processes = min(MOST_PROCESSES, os.cpu_count() or 1)
    if len(tasks) < FEW or processes == 1:
        return map(_written, tasks)
    # Forked, as all that is needed is imported already.
    with ProcessPoolExecutor(processes, get_context("fork"), gc.disable) as pool:
        return list(pool.map(_written, tasks, chunksize=4))


def _written(task: _Task) -> _Done:
    grids, damaged = [], {}
    for path in task.paths:
        try:
            grids.append(grid(boiled_down(path), every_metric=task.every_metric))
        except StoreError as fault:
            damaged[path] = str(fault)
    if damaged:
        return _Done({}, damaged)
    whole = grids[0] if len(grids) == 1 else merged(grids)
    asvfiles.write_results(task.folder, task.at, whole)
    return _Done({benchmark: tuple(points) for benchmark, points in whole.items()}, {})


def _refuse_strangers(into: Path) -> None:
    """What was not made by an export is never replaced."""
    try:
        if not into.is_dir() or not any(into.iterdir()):
            return
        found = json.loads((into / asvfiles.CONFIG).read_bytes())
    except (OSError, ValueError):
        found = None
    if not isinstance(found, dict) or found.get("exported_by") is None:
        raise UsageError(
            f"{into}: holds something that `netbench asv export` has not made",
            "name an empty or a new folder with --into",
        )
