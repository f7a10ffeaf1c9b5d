"""asv's own files, written by asv's own classes."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from asv.benchmarks import Benchmarks
from asv.config import Config
from asv.machine import Machine as AsvMachine
from asv.results import Results
from asv.runner import BenchmarkResult
from asv.util import write_json

from bench.errors import StoreError
from bench.history.grids import Benchmark, Grid, Point
from bench.history.machines import Machine
from bench.model import Plan

# The formats that this module was written against; asv 0.6 has them.
_FORMATS = {Results: 2, Benchmarks: 2, AsvMachine: 1, Config: 1}
CONFIG = "asv.conf.json"
PLUGIN = ".bench.history.pages"


@dataclass(frozen=True, slots=True, eq=False)
class AtCommit:
    """One machine at one commit, measured in one way: one file of results."""

    machine: str
    commit: str
    committed: datetime
    started: datetime
    way: str


def refuse_other_formats() -> None:
    """Raise StoreError where the asv that is installed writes other files than we know."""
    for kind, version in _FORMATS.items():
        if kind.api_version != version:
            raise StoreError(
                f"asv: {kind.__name__} has format {kind.api_version}, and netbench knows {version}",
                "install asv 0.6",
            )


def way(plan: Plan) -> str:
    """How it was measured: what is measured in another way is a line of its own in asv's graphs."""
    return f"{plan.duration} s after {plan.warmup} s, pin {plan.pin}"


def write_machine(folder: Path, machine: Machine) -> None:
    written = AsvMachine()
    written.__dict__.update(asdict(machine), version=AsvMachine.api_version)
    written.save(str(folder))


def write_benchmarks(folder: Path, benchmarks: Mapping[Benchmark, Sequence[str]]) -> None:
    """The benchmarks with their treatments; those of one name are one, the last."""
    conf = Config()
    conf.results_dir = str(folder)
    Benchmarks(conf, [_described(one, its) for one, its in benchmarks.items()]).save()


def write_results(folder: Path, point: AtCommit, grid: Grid) -> None:
    results = Results(
        {"machine": point.machine, "trial": point.way},
        {},
        point.commit,
        _milliseconds(point.committed),
        "",
        re.sub(r"[^A-Za-z0-9]+", "-", f"trial {point.way}"),
        {},
    )
    for benchmark, points in grid.items():
        described = _described(benchmark, tuple(points))
        results.add_result(
            described, _result(tuple(points.values())), point.started, record_samples=True
        )
    results.save(str(folder))


def write_config(path: Path, repository: str, branch: str) -> None:
    """An ``asv.conf.json`` for the folder that it is in."""
    settings = {
        "exported_by": "netbench asv export",
        "project": "netbench",
        "project_url": "#",
        "repo": repository,
        "branches": [branch],
        "results_dir": "results",
        "html_dir": "html",
        "env_dir": "env",
        "plugins": [PLUGIN],
    }
    write_json(str(path), settings, Config.api_version)


def _described(benchmark: Benchmark, treatments: Sequence[str]) -> dict[str, Any]:
    """A benchmark as asv keeps it: a dict, which is asv's to define."""
    return {
        "name": benchmark.name,
        "pretty_name": benchmark.shown.title,
        "type": "track",
        "unit": benchmark.unit,
        "version": benchmark.version,
        "code": benchmark.shown.about,
        "params": [list(treatments)],
        "param_names": ["treatment"],
        "timeout": 60.0,
    }


def _result(points: Sequence[Point]) -> BenchmarkResult:
    return BenchmarkResult(
        # Where there are samples asv puts their median for the 0; NaN is skipped, None failed.
        result=[0.0 if one.samples else None if one.failed else math.nan for one in points],
        samples=[list(one.samples) or None for one in points],
        number=[1 if one.samples else None for one in points],
        errcode=0,
        stderr="",
        profile=None,
    )


def _milliseconds(when: datetime) -> int:
    return int(when.timestamp()) * 1000
