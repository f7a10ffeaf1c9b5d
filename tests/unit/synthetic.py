"""Runs that look like real ones, made through the same doors that `netbench run` uses."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from hdrh.histogram import HdrHistogram

from bench import drivers, workloads
from bench.model import (
    Cell,
    Checkout,
    CoreUse,
    EndUse,
    HostFacts,
    ImageFacts,
    Interval,
    Passage,
    PathFacts,
    Placement,
    PlannedTrial,
    RunEnd,
    RunInfo,
    Sample,
    Status,
    Stopping,
    Trial,
)
from bench.plan import make_plan, trials_of
from bench.store import FORMAT, RunWriter
from bench.workloads.base import ToolOutput

FACTOR = {"host": 1.0, "bridge": 0.93, "overlay": 0.74, "macvlan": 0.985}
BOTH = (Placement.SAME_HOST, Placement.CROSS_HOST)

# What a trial comes to: None for "completed", or how it ended instead and why.
Fate = Callable[[PlannedTrial], tuple[Status, str] | None]


# By what a trial's speed is multiplied, beside drift, driver and noise.
Shape = Callable[[PlannedTrial], float]
# What is changed in a trial as it is stored.
Change = Callable[[Trial], Trial]


def completed(planned: PlannedTrial) -> None:
    return None


def steady(planned: PlannedTrial) -> float:
    return 1.0


def as_it_is(trial: Trial) -> Trial:
    return trial


def awake(planned: PlannedTrial) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Making:
    """What all trials of one run have in common."""

    fate: Fate
    factors: Mapping[str, float]
    shape: Shape
    change: Change
    random: np.random.Generator
    noise: float
    seconds: int


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
    aa: int | None = 0,
    stopping: Stopping | None = None,
    resting: Callable[[PlannedTrial], bool] = awake,
    shape: Shape = steady,
    change: Change = as_it_is,
    drift: float = 0.12,
    noise: float = 0.02,
    pin: str = "off",
    link_speed: float | None = None,
    message: str = "",
    facts: Mapping[str, Any] | None = None,
    note: str = "",
    checkout: Checkout | None = None,
) -> Path:
    """Write a run to ``path`` and return it. ``stop_after`` trials it is cut off.

    ``drift`` is how far the machine wanders from block to block and ``noise`` how far a trial is
    from it, both as standard deviations of logarithms; trials that are ``resting`` are left out.
    ``facts`` are what all hosts have otherwise than is usual.
    """
    plan = make_plan(
        hosts,
        [drivers.known()[one] for one in driver_names],
        [workloads.named(one) for one in workload_names],
        placements,
        blocks=blocks,
        duration=3,
        warmup=1,
        seed=seed,
        aa=aa,
        stopping=stopping,
        pin=pin,
    )
    info = RunInfo(
        format=FORMAT,
        run=name,
        created=created,
        netbench="0.1.0",
        command=("netbench", "run", "-i", "hosts/lab.yaml"),
        plan=plan,
        metrics={one: workloads.named(one).metrics for one in workload_names},
        hosts=tuple(
            replace(_facts(place, host), **{"link_speed": link_speed, **(facts or {})})
            for place, host in enumerate(hosts)
        ),
        image=ImageFacts("netbench-toolbox:1", "sha256:" + "5e" * 32, {"iperf3": "3.18"}),
        shared_kernel=shared_kernel,
        networks={"overlay": {"driver": "overlay", "mtu": "1450"}},
        paths=tuple(_path(driver, host) for driver in driver_names for host in hosts),
        note=note,
        checkout=checkout,
    )
    writer = RunWriter(path, info)
    random = np.random.default_rng(seed)
    wandering = np.exp(np.cumsum(random.normal(0, drift, blocks)))
    making = Making(fate, factors, shape, change, random, noise, plan.duration + plan.warmup)
    # An adaptive plan has as many blocks as its budget could hold; this run took ``blocks``.
    wanted = (one for block in range(blocks) for one in trials_of(plan, block))
    for planned in tuple(wanted)[:stop_after]:
        if not resting(planned):
            writer.trial(change(_trial(writer, planned, float(wandering[planned.block]), making)))
    if ended:
        cut = stop_after is not None
        writer.end(
            RunEnd(
                outcome="interrupted" if cut else "finished",
                message="stopped by the user" if cut else message,
                wall=395.2,
                setup=16.4,
                measuring=332.0,
                warming=83.0,
                teardown=7.9,
                outstanding=outstanding,
                blocks=blocks,
                reading=4.4,
            )
        )
    writer.close()
    return path


def as_format_1(path: Path) -> Path:
    """Make a run what netbench 0.1 would have written: without all that format 2 added."""
    head = json.loads((path / "run.json").read_text())
    head["format"] = 1
    _drop(head, "paths", "working", "note", "checkout")
    _drop(head["plan"], "stopping", "pin")
    for cell in head["plan"]["cells"]:
        _drop(cell, "aa")
    for host in head["hosts"]:
        _drop(host, "link_speed")
    (path / "run.json").write_text(json.dumps(head))
    lines = []
    for line in (path / "trials.jsonl").read_text().splitlines():
        trial = json.loads(line)
        _drop(trial, "ends", "path", "unattested")
        _drop(trial["cell"], "aa")
        lines.append(json.dumps(trial) + "\n")
    (path / "trials.jsonl").write_text("".join(lines))
    if (path / "end.json").exists():
        end = json.loads((path / "end.json").read_text())
        _drop(end, "blocks", "reading")
        (path / "end.json").write_text(json.dumps(end))
    return path


def _drop(found: dict[str, object], *names: str) -> None:
    for name in names:
        found.pop(name, None)


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


def _path(driver: str, host: str) -> PathFacts:
    return PathFacts(
        driver=driver,
        host=host,
        where="data interface" if driver == "host" else "client container",
        interface="eth0",
        mtu=1450 if driver == "overlay" else 1500,
        offloads={"tcp-segmentation-offload": True, "large-receive-offload": False},
        route="198.18.0.12 dev eth0 src 198.18.0.11",
    )


def _trial(writer: RunWriter, planned: PlannedTrial, drift: float, making: Making) -> Trial:
    otherwise = making.fate(planned)
    started = 1769860800.0 + 4.2 * planned.sequence
    common = (planned.sequence, planned.block, planned.pair, planned.cell)
    if otherwise is not None:
        return Trial(*common, status=otherwise[0], reason=otherwise[1], started=started)
    random = making.random
    speed = drift * making.factors[planned.cell.driver] * making.shape(planned)
    speed *= float(np.exp(random.normal(0, making.noise)))
    if planned.cell.placement is Placement.SAME_HOST:
        speed *= 2.6
    http = planned.cell.workload == "http-echo"
    samples, histogram = _http(planned.cell, speed) if http else (_bulk(speed, random), None)
    known = {sample.metric for sample in samples}
    # What a unit of work costs in CPU time: the slower the path, the dearer.
    samples += tuple(
        Sample(metric.name, 0.8 / making.factors[planned.cell.driver] * (1 + 0.01 * (1 - speed)))
        for metric in workloads.named(planned.cell.workload).metrics
        if metric.name.startswith("cpu_") and metric.name not in known
    )
    intervals = (
        ()
        if http
        else tuple(
            Interval(float(at), float(at + 1), "throughput", samples[0].value, warmup=at == 0)
            for at in range(4)
        )
    )
    return Trial(
        *common,
        status=Status.COMPLETED,
        started=started,
        elapsed=4.2,
        tool=4.0,
        samples=samples,
        intervals=intervals,
        histogram=histogram,
        raw=writer.raw(planned, ToolOutput(0, b"{}")),
        ends=ends(planned),
        path=_passages(planned, making.seconds * 1.1e9 * speed),
    )


def ends(planned: PlannedTrial, client: CoreUse | None = None) -> tuple[EndUse, ...]:
    """What the hosts of a trial did: two cores each, the client's first core busier."""
    client_host = planned.pair.client_for(planned.cell.placement)
    idle = CoreUse(user=0.1, system=0.3, softirq=0.2, irq=0.0, steal=0.02, idle=3.4)
    busy = client or CoreUse(user=0.4, system=2.0, softirq=0.6, irq=0.0, steal=0.02, idle=1.0)
    if client_host == planned.pair.server:
        roles = ("client", "server")
        return (EndUse(client_host, roles, 4.02, (busy, idle), 1.2, 3, 0, pressure=0.1),)
    return (
        EndUse(client_host, ("client",), 4.02, (busy, idle), 1.2, 3, 0, pressure=0.1),
        EndUse(planned.pair.server, ("server",), 4.02, (idle, idle), 0.8, 1, 0, pressure=0.05),
    )


def _passages(planned: PlannedTrial, payload: float) -> tuple[Passage, ...]:
    moved = int(1.06 * payload)
    if planned.cell.placement is Placement.SAME_HOST:
        return (Passage(planned.pair.server, "server container", "eth0", moved),)
    return (
        Passage(planned.pair.client, "data interface", "eth0", moved),
        Passage(planned.pair.server, "data interface", "eth0", moved),
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
