"""How long many stored runs take to export for asv, to publish by it and to judge. Prints Markdown.

    .venv/bin/python benchmarks/history_speed.py [RUNS] [CELLS]

Makes RUNS runs of CELLS cells (default 200 by 200) in a temporary folder: two workloads in two
placements, six blocks, all metrics of each.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from bench import drivers, workloads
from bench.history.export import export
from bench.history.gate import gate
from bench.history.sequence import read, read_heads, runs_at
from bench.model import (
    Access,
    Cell,
    HostFacts,
    HostPair,
    ImageFacts,
    Placement,
    Plan,
    RunInfo,
    Sample,
    Status,
    Trial,
)
from bench.store import FORMAT, RunWriter
from bench.store.codec import encode

BLOCKS = 6
BEGIN = datetime(2026, 1, 1, 3, 0, tzinfo=UTC)
MOST_SECONDS = 10.0

WORKLOADS = ("http-echo", "iperf3-tcp")


@dataclass(frozen=True, slots=True)
class Maker:
    """Writes runs of the same cells below ``folder``, without a sync per trial."""

    folder: Path
    cells: tuple[Cell, ...]

    def write(self, night: int) -> None:
        when = BEGIN + timedelta(days=night)
        plan = Plan(("a", "b"), self.cells, BLOCKS, duration=5, warmup=1, seed=night)
        info = RunInfo(
            format=FORMAT,
            run=f"{when:%Y%m%d-%H%M%S}-{night:06x}",
            created=when.isoformat(),
            netbench="0",
            command=(),
            plan=plan,
            metrics={name: workloads.known()[name].metrics for name in WORKLOADS},
            hosts=tuple(_facts(name, night) for name in plan.hosts),
            image=ImageFacts("toolbox", "sha256:0"),
            shared_kernel=False,
        )
        writer = RunWriter(self.folder / info.run, info)
        writer.close()
        random = np.random.default_rng(night)
        with (writer.path / "trials.jsonl").open("wb") as file:
            for sequence in range(BLOCKS * len(self.cells)):
                block, place = divmod(sequence, len(self.cells))
                trial = _trial(sequence, block, self.cells[place], info, random)
                file.write(encode(trial, trial.cell) + b"\n")


def _facts(name: str, night: int) -> HostFacts:
    return HostFacts(
        name=name,
        os="Debian GNU/Linux 13 (trixie)",
        kernel=f"6.12.{night // 40}",
        engine="26.1.5",
        architecture="x86_64",
        cpus=4,
        memory=16 << 30,
        data_address="198.18.0.1",
        data_interface="eth1",
        data_mtu=1500,
        cpu_model="Example CPU",
    )


def _trial(
    sequence: int, block: int, cell: Cell, info: RunInfo, random: np.random.Generator
) -> Trial:
    values = np.exp(random.normal(10, 0.03, len(info.metrics[cell.workload]))).tolist()
    named = zip(info.metrics[cell.workload], values, strict=True)
    return Trial(
        sequence=sequence,
        block=block,
        pair=HostPair("a", "b"),
        cell=cell,
        status=Status.COMPLETED,
        started=1.0,
        elapsed=6.2,
        tool=6.0,
        samples=tuple(Sample(metric.name, value) for metric, value in named),
    )


def cells(count: int) -> tuple[Cell, ...]:
    places = [(place, name) for place in Placement for name in WORKLOADS]
    names = [
        drivers.BASELINE,
        *(f"driver{number:03}" for number in range(count // len(places) - 1)),
    ]
    return tuple(Cell(name, Access.DIRECT, *place) for place in places for name in names)


def timed(what: str, do: Callable[[], object]) -> float:
    begun, before = time.perf_counter(), cpu()
    do()
    took = time.perf_counter() - begun
    print(f"| {what} | {took:.1f} s | {cpu() - before:.1f} s |", flush=True)
    return took


def cpu() -> float:
    """CPU seconds of this process and of those that it has waited for."""
    uses = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(use.ru_utime + use.ru_stime for use in uses)


def main() -> None:
    runs, count = (int(word) for word in (*sys.argv[1:], "200", "200")[:2])
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        maker = Maker(root / "results", cells(count))
        for night in range(runs):
            maker.write(night)
        print(f"{runs} runs of {len(maker.cells)} cells, {BLOCKS} blocks\n")
        print("| step | wall time | CPU time |\n| --- | ---: | ---: |")
        into = root / "asv"
        past = read(runs_at([root / "results"]))
        took = timed(
            "export, reading included",
            lambda: export(read_heads(runs_at([root / "results"])).runs, into),
        )
        config = str(into / "asv.conf.json")
        timed(
            "`asv publish`",
            lambda: subprocess.run(
                [sys.executable, "-m", "asv", "--config", config, "publish"],
                check=True,
                stdout=subprocess.DEVNULL,
            ),
        )
        timed("gate, of runs that are read", lambda: gate(past.runs, 0.05, 30))
        known = json.loads((into / "results" / "benchmarks.json").read_text())
        known.pop("version")
        series = sum(len(one["params"][0]) for one in known.values())
        print(f"\n{series} series; export took {took:.1f} s of {MOST_SECONDS:.0f} s.")


if __name__ == "__main__":
    main()
