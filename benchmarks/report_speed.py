"""How long a large stored run takes to read, analyse and chart, and how much memory.

    python benchmarks/report_speed.py [TRIALS]

Makes a run of TRIALS trials (default 100,000) in a temporary folder, then measures each step in
this process. Prints Markdown.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TypeVar

import numpy as np
from hdrh.histogram import HdrHistogram
from pydantic import TypeAdapter

from bench import drivers, workloads
from bench.analysis.summary import summarise
from bench.charts import draw
from bench.model import ImageFacts, Interval, Placement, RunInfo, Sample, Status, Trial
from bench.plan import make_plan, planned_trials
from bench.store import FORMAT, RunWriter, load

T = TypeVar("T")

DRIVERS = ("host", "bridge", "overlay", "macvlan")
HTTP = "http-echo"
DISTRIBUTIONS = 64


def write(path: Path, trials: int) -> int:
    """Write a run of about ``trials`` trials, without a sync per trial; returns how many."""
    names = ("iperf3-tcp", HTTP)
    cells = len(names) * len(Placement) * len(DRIVERS)
    plan = make_plan(
        ("a", "b"),
        [drivers.known()[name] for name in DRIVERS],
        [workloads.known()[name] for name in names],
        tuple(Placement),
        blocks=max(1, trials // cells),
        duration=3,
        warmup=1,
        seed=1,
    )
    info = RunInfo(
        format=FORMAT,
        run="speed",
        created="2026-01-31T12:00:00Z",
        netbench="0",
        command=("netbench", "run"),
        plan=plan,
        metrics={name: workloads.known()[name].metrics for name in names},
        hosts=(),
        image=ImageFacts("toolbox", "sha256:0"),
        shared_kernel=False,
    )
    RunWriter(path, info).close()
    random = np.random.default_rng(1)
    histograms = [encoded(random) for _ in range(DISTRIBUTIONS)]
    dump = TypeAdapter(Trial).dump_json
    with (path / "trials.jsonl").open("wb") as file:
        for planned in planned_trials(plan):
            speed = float(np.exp(random.normal(0, 0.1)))
            http = planned.cell.workload == HTTP
            measured = [1e4 * speed, *([1e-3 / speed] * 4), 0.0] if http else [9e9 * speed, 3.0]
            metrics = info.metrics[planned.cell.workload]
            trial = Trial(
                planned.sequence,
                planned.block,
                planned.pair,
                planned.cell,
                Status.COMPLETED,
                samples=tuple(
                    Sample(metric.name, value)
                    for metric, value in zip(metrics, measured, strict=True)
                ),
                intervals=()
                if http
                else tuple(Interval(at, at + 1, "throughput", 9e9 * speed) for at in range(4)),
                histogram=histograms[planned.sequence % DISTRIBUTIONS] if http else None,
            )
            file.write(dump(trial) + b"\n")
    return len(plan.cells) * plan.blocks


def encoded(random: np.random.Generator) -> str:
    """The histogram of 30,000 requests."""
    histogram = HdrHistogram(1, 3_600_000_000, 3)
    values, counts = np.unique(random.lognormal(7, 0.4, 30_000).astype(int) + 1, return_counts=True)
    for value, count in zip(values.tolist(), counts.tolist(), strict=True):
        histogram.record_value(value, count)
    return str(histogram.encode().decode("ascii"))


def timed(name: str, step: Callable[[], T]) -> T:
    """Run a step and say what it took and the process's peak memory so far."""
    begun = time.perf_counter()
    result = step()
    took = time.perf_counter() - begun
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"| {name} | {took:.2f} s | {peak:.0f} MiB |")
    return result


def main() -> None:
    wanted = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run"
        # Made by another process: the memory that this takes is no part of what is measured.
        with ProcessPoolExecutor(1) as other:
            count = other.submit(write, path, wanted).result()
        print(f"A stored run of {count:,} trials:\n")
        print("| step | wall time | peak memory so far |\n| --- | ---: | ---: |")
        run = timed("read", lambda: load(path))
        summary = timed("analyse", lambda: summarise(run))
        timed("draw", lambda: draw(summary, path / "charts"))


if __name__ == "__main__":
    main()
