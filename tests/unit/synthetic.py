"""Runs that look like real ones, made through the same doors that `netbench run` uses."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path

import numpy as np
from hdrh.histogram import HdrHistogram

from bench import drivers, workloads
from bench.model import (
    Cell,
    HostFacts,
    ImageFacts,
    Interval,
    Placement,
    PlannedTrial,
    RunEnd,
    RunInfo,
    Sample,
    Status,
    Trial,
)
from bench.plan import make_plan, planned_trials
from bench.store import FORMAT, RunWriter
from bench.workloads.base import ToolOutput

FACTOR = {"host": 1.0, "bridge": 0.93, "overlay": 0.74, "macvlan": 0.985}
BOTH = (Placement.SAME_HOST, Placement.CROSS_HOST)

# What a trial comes to: None for "completed", or how it ended instead and why.
Fate = Callable[[PlannedTrial], tuple[Status, str] | None]


def completed(planned: PlannedTrial) -> None:
    return None


def write_run(
    path: Path,
    *,
    driver_names: Sequence[str] = ("host", "bridge", "overlay", "macvlan"),
    workload_names: Sequence[str] = ("iperf3-tcp", "http-echo"),
    placements: Sequence[Placement] = BOTH,
    hosts: Sequence[str] = ("lab1", "lab2", "lab3"),
    blocks: int = 5,
    seed: int = 7,
    fate: Fate = completed,
    stop_after: int | None = None,
    ended: bool = True,
    shared_kernel: bool = True,
    name: str = "20260131-120000-ab12",
    created: str = "2026-01-31T12:00:00Z",
    factors: Mapping[str, float] = FACTOR,
    outstanding: tuple[str, ...] = (),
) -> Path:
    """Write a run to ``path`` and return it. ``stop_after`` trials it is cut off."""
    plan = make_plan(
        hosts,
        [drivers.known()[one] for one in driver_names],
        [workloads.known()[one] for one in workload_names],
        placements,
        blocks=blocks,
        duration=3,
        warmup=1,
        seed=seed,
    )
    info = RunInfo(
        format=FORMAT,
        run=name,
        created=created,
        netbench="0.1.0",
        command=("netbench", "run", "-i", "hosts/lab.yaml"),
        plan=plan,
        metrics={one: workloads.known()[one].metrics for one in workload_names},
        hosts=tuple(_facts(place, host) for place, host in enumerate(hosts)),
        image=ImageFacts("netbench-toolbox:1", "sha256:" + "5e" * 32, {"iperf3": "3.18"}),
        shared_kernel=shared_kernel,
        networks={"overlay": {"driver": "overlay", "mtu": "1450"}},
    )
    writer = RunWriter(path, info)
    random = np.random.default_rng(seed)
    drift = np.exp(np.cumsum(random.normal(0, 0.12, blocks)))
    for planned in tuple(planned_trials(plan))[:stop_after]:
        writer.trial(
            _trial(
                writer,
                planned,
                drift=float(drift[planned.block]),
                fate=fate,
                factors=factors,
                random=random,
            )
        )
    if ended:
        cut = stop_after is not None
        writer.end(
            RunEnd(
                outcome="interrupted" if cut else "finished",
                message="stopped by the user" if cut else "",
                wall=395.2,
                setup=16.4,
                measuring=332.0,
                warming=83.0,
                teardown=7.9,
                outstanding=outstanding,
            )
        )
    writer.close()
    return path


def _facts(place: int, host: str) -> HostFacts:
    return HostFacts(
        name=host,
        os="Debian GNU/Linux 12 (bookworm)",
        kernel="6.1.0-30-amd64",
        engine="20.10.24+dfsg1",
        architecture="x86_64",
        cpus=2,
        memory=8 << 30,
        data_address=f"198.18.0.{place + 11}",
        data_interface="eth0",
        data_mtu=1500,
        cpu_model="Example CPU @ 2.5 GHz",
        storage_driver="overlay2",
    )


def _trial(
    writer: RunWriter,
    planned: PlannedTrial,
    *,
    drift: float,
    fate: Fate,
    factors: Mapping[str, float],
    random: np.random.Generator,
) -> Trial:
    otherwise = fate(planned)
    started = 1769860800.0 + 4.2 * planned.sequence
    common = (planned.sequence, planned.block, planned.pair, planned.cell)
    if otherwise is not None:
        return Trial(*common, status=otherwise[0], reason=otherwise[1], started=started)
    speed = drift * factors[planned.cell.driver] * float(np.exp(random.normal(0, 0.02)))
    if planned.cell.placement is Placement.SAME_HOST:
        speed *= 2.6
    http = planned.cell.workload == "http-echo"
    samples, histogram = _http(planned.cell, speed) if http else (_bulk(speed, random), None)
    intervals = (
        ()
        if http
        else tuple(
            Interval(float(at), float(at + 1), "throughput", samples[0].value, warmup=at == 0)
            for at in range(4)
        )
    )
    raw = writer.raw(planned, ToolOutput(0, b"{}"))
    return Trial(
        *common,
        status=Status.COMPLETED,
        started=started,
        elapsed=4.2,
        tool=4.0,
        samples=samples,
        intervals=intervals,
        histogram=histogram,
        raw=raw,
    )


def _bulk(speed: float, random: np.random.Generator) -> tuple[Sample, ...]:
    return (
        Sample("throughput", 9.1e9 * speed),
        Sample("retransmits", float(random.integers(0, 40))),
    )


def _http(cell: Cell, speed: float) -> tuple[tuple[Sample, ...], str]:
    scale = max(0.01, round(1 / speed, 2))
    latencies, encoded = _latencies(scale)
    named = zip(("p50", "p90", "p99", "p99.9"), latencies, strict=True)
    samples = (
        Sample("requests", 14_300 * speed),
        *(Sample(f"latency_{percentile}", value) for percentile, value in named),
        Sample("errors", 0.0),
    )
    return samples, encoded


@cache
def _latencies(scale: float) -> tuple[tuple[float, ...], str]:
    """p50, p90, p99 and p99.9 in seconds, and the histogram, of a log-normal with a slow tail."""
    random = np.random.default_rng(11)
    micro = random.lognormal(np.log(900 * scale), 0.35, 20_000)
    micro[::400] *= 4
    values, counts = np.unique(np.maximum(1, micro).astype(int), return_counts=True)
    histogram = HdrHistogram(1, 3_600_000_000, 3)
    for value, count in zip(values.tolist(), counts.tolist(), strict=True):
        histogram.record_value(value, count)
    found = np.quantile(micro, (0.5, 0.9, 0.99, 0.999)) / 1e6
    return tuple(found.tolist()), histogram.encode().decode("ascii")
