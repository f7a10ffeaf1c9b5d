"""How long large stored runs take to read, analyse and chart, and how much memory.

    python benchmarks/report_speed.py [TRIALS]

Makes runs of a quarter, half and all of TRIALS trials (default 100,000) in a temporary folder, and
measures in a process of its own what a report asks of each. Prints Markdown.
"""

from __future__ import annotations

import gc
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import TypeVar

import numpy as np
from hdrh.histogram import HdrHistogram

from bench import drivers, workloads
from bench.analysis.cpu import cpu_use
from bench.analysis.flags import find
from bench.analysis.summary import summarise
from bench.charts import draw
from bench.model import (
    Cell,
    CoreUse,
    EndUse,
    ImageFacts,
    Interval,
    Metric,
    Passage,
    Placement,
    PlannedTrial,
    RunInfo,
    Sample,
    Status,
    Trial,
)
from bench.plan import make_plan, planned_trials
from bench.store import FORMAT, RunWriter, load
from bench.store.codec import encode

T = TypeVar("T")

DRIVERS = ("host", "bridge", "overlay", "macvlan")
HTTP = "http-echo"
DISTRIBUTIONS = 64
CORES = 2
SHARES = (0.25, 0.5, 1.0)
MOST_SECONDS = 5.0
MOST_MEMORY = 500.0


@dataclass(frozen=True, slots=True)
class Step:
    """What one step took: seconds by the wall and of this process's CPU time, and the peak of the
    process's memory so far in MiB."""

    name: str
    wall: float
    cpu: float
    peak: float


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
    with (path / "trials.jsonl").open("wb") as file:
        for planned in planned_trials(plan):
            metrics = info.metrics[planned.cell.workload]
            trial = one_trial(planned, metrics, histograms, random)
            file.write(encode(trial, planned.cell) + b"\n")
    return len(plan.cells) * plan.blocks


def one_trial(
    planned: PlannedTrial,
    metrics: tuple[Metric, ...],
    histograms: list[str],
    random: np.random.Generator,
) -> Trial:
    """A trial with all that a real one has."""
    http = planned.cell.workload == HTTP
    speed = float(np.exp(random.normal(0, 0.1)))
    known = {
        "throughput": 9e9 * speed,
        "requests": 1e4 * speed,
        "retransmits": 3.0,
        "errors": 0.0,
    }
    return Trial(
        planned.sequence,
        planned.block,
        planned.pair,
        planned.cell,
        Status.COMPLETED,
        started=1.8e9 + 4.2 * planned.sequence + speed,
        elapsed=4.1 + speed / 10,
        tool=4 + speed / 10,
        samples=tuple(
            Sample(metric.name, known.get(metric.name, 1e-3 / speed)) for metric in metrics
        ),
        intervals=()
        if http
        else tuple(Interval(at, at + speed, "throughput", 9e9 * speed) for at in range(4)),
        histogram=histograms[planned.sequence % DISTRIBUTIONS] if http else None,
        raw=(f"raw/{planned.sequence:05d}-{str(planned.cell).replace('/', '_')}.stdout",),
        ends=tuple(ends(planned, random)),
        path=tuple(passages(planned.cell, int(4.5e9 * speed))),
    )


def ends(planned: PlannedTrial, random: np.random.Generator) -> Iterator[EndUse]:
    """Both hosts, whatever the placement: never less than a real trial has."""
    for host, role in ((planned.pair.client, "client"), (planned.pair.server, "server")):
        used = np.round(random.random((CORES, 6)), 2).tolist()
        yield EndUse(
            host,
            (role,),
            seconds=4 + used[0][0] / 10,
            cores=tuple(CoreUse(*kinds) for kinds in used),
            load=1.5,
            retransmits=3,
            drops=0,
            pressure=used[0][1],
            frequency=(2.5e9,) * CORES,
            pinned="0",
        )


def passages(cell: Cell, moved: int) -> Iterator[Passage]:
    """The longest path there is, for all."""
    for host, end in (("a", "client"), ("b", "server")):
        yield Passage(host, f"{end} container", "eth0", moved)
        yield Passage(host, f"{cell.driver} interface", "vxlan0", moved + 1)
        yield Passage(host, "data interface", "ens3", moved + 2)


def encoded(random: np.random.Generator) -> str:
    """The histogram of 30,000 requests."""
    histogram = HdrHistogram(1, 3_600_000_000, 3)
    values, counts = np.unique(random.lognormal(7, 0.4, 30_000).astype(int) + 1, return_counts=True)
    for value, count in zip(values.tolist(), counts.tolist(), strict=True):
        histogram.record_value(value, count)
    return str(histogram.encode().decode("ascii"))


def measure(path: Path) -> list[Step]:
    """All steps of a report, in this process."""
    steps: list[Step] = []

    def timed(name: str, step: Callable[[], T]) -> T:
        wall, cpu = time.perf_counter(), time.process_time()
        result = step()
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        steps.append(Step(name, wall, cpu, peak))
        return result

    run = timed("read", lambda: load(path))
    # As `netbench report` does.
    gc.freeze()
    summary = timed("summarise", lambda: summarise(run))
    timed("flags, CPU use", lambda: (find(run, summary), cpu_use(run)))
    timed("draw", lambda: draw(summary, path / "charts"))
    return steps


def apart(step: Callable[..., T], *arguments: object) -> T:
    """Run ``step`` in a fresh process: the memory of one is no part of another's."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as other:
        return other.submit(step, *arguments).result()


def main() -> None:
    wanted = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    totals: list[tuple[int, Step]] = []
    for share in SHARES:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "run"
            count = apart(write, path, round(wanted * share))
            size = (path / "trials.jsonl").stat().st_size / 1e6
            steps = apart(measure, path)
        total = Step(
            "all",
            sum(step.wall for step in steps),
            sum(step.cpu for step in steps),
            max(step.peak for step in steps),
        )
        totals.append((count, total))
        print(f"\nA stored run of {count:,} trials ({size:.0f} MB):\n")
        print("| step | wall time | CPU time | peak memory so far |\n| --- | ---: | ---: | ---: |")
        for step in (*steps, total):
            print(
                f"| {step.name} | {step.wall:.2f} s | {step.cpu:.2f} s | {step.peak:.0f} MiB |",
                flush=True,
            )
    growth(totals)


def growth(totals: list[tuple[int, Step]]) -> None:
    """Print how time and memory grow, and the largest beside the goals."""
    (few, first), (half, middle), (most, last) = totals
    grown = [
        (there - here) / (most - half) / ((here - before) / (half - few))
        for before, here, there in (
            (first.cpu, middle.cpu, last.cpu),
            (first.peak, middle.peak, last.peak),
        )
    ]
    print(
        f"\nA trial of the last {most - half:,} cost {grown[0]:.2f} times the CPU time and "
        f"{grown[1]:.2f} times the memory of one of the {half - few:,} before them.\n"
        f"In all {last.wall:.1f} s of {MOST_SECONDS:.0f} s and {last.peak:.0f} MiB of "
        f"{MOST_MEMORY:.0f} MiB."
    )


if __name__ == "__main__":
    main()
