"""The nouns of netbench, as frozen dataclasses.

Units are SI and spelt in the metric: bits per second, seconds, counts. Nothing here does anything:
drivers and workloads describe, the runner acts, analysis reads what was stored.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path


class Placement(StrEnum):
    """Where client and server are, relative to each other."""

    SAME_HOST = "same-host"
    CROSS_HOST = "cross-host"


class Access(StrEnum):
    """How the client reaches the server."""

    DIRECT = "direct"
    PUBLISHED_HOST = "published-host"


class Better(StrEnum):
    """Which direction of a metric is better."""

    HIGHER = "higher"
    LOWER = "lower"


class Status(StrEnum):
    """How a trial ended. There is no number that stands for a failure."""

    COMPLETED = "completed"
    SKIPPED = "skipped"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Host:
    """One machine reached over SSH, with its own Docker engine.

    ``None`` means "not said in the inventory": ``~/.ssh/config`` and then SSH's defaults decide.
    ``data_address`` and ``data_interface`` name the network to measure on, for machines that have
    several; when neither is given it is the network that ``address`` is on.
    """

    name: str
    address: str
    user: str | None = None
    port: int | None = None
    key_file: Path | None = None
    known_hosts_file: Path | None = None
    proxy_jump: str | None = None
    become: bool = False
    data_address: str | None = None
    data_interface: str | None = None
    macvlan_parent: str | None = None


@dataclass(frozen=True, slots=True)
class Inventory:
    """The hosts of one inventory file, in the file's order, and what is set for all of them.

    ``port_base`` is the first of the TCP ports that servers listen on in the hosts' own network.
    ``macvlan_subnet`` is the IPv4 network from which macvlan containers get their addresses.
    ``shared_kernel`` is true where the hosts are not machines of their own but share one kernel.
    """

    path: Path
    hosts: tuple[Host, ...]
    port_base: int = 15200
    macvlan_subnet: str = "198.19.0.0/16"
    shared_kernel: bool = False


@dataclass(frozen=True, slots=True)
class Metric:
    """One thing that a workload measures. ``headline`` marks the ones that a report leads with."""

    name: str
    unit: str
    better: Better
    title: str
    headline: bool = False


@dataclass(frozen=True, slots=True)
class Cell:
    """Treatment x placement x workload: one row of the report."""

    driver: str
    access: Access
    placement: Placement
    workload: str

    def __str__(self) -> str:
        return f"{self.driver}/{self.access}/{self.placement}/{self.workload}"


@dataclass(frozen=True, slots=True)
class HostPair:
    """The hosts of a block: ``client`` and ``server`` by inventory name.

    Cells placed on the same host use ``server`` for both ends.
    """

    client: str
    server: str

    def client_for(self, placement: Placement) -> str:
        return self.server if placement is Placement.SAME_HOST else self.client


@dataclass(frozen=True, slots=True)
class PlannedTrial:
    """One cell in one block. ``sequence`` numbers the trials from 0 in their planned order."""

    sequence: int
    block: int
    pair: HostPair
    cell: Cell


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything a run will do, in order, and how long each part is meant to take (seconds)."""

    hosts: tuple[str, ...]
    cells: tuple[Cell, ...]
    blocks: int
    duration: int
    warmup: int
    seed: int
    trials: tuple[PlannedTrial, ...]


@dataclass(frozen=True, slots=True)
class Sample:
    """One metric's value from one trial, in the metric's unit."""

    metric: str
    value: float


@dataclass(frozen=True, slots=True)
class Interval:
    """What a tool reported for one stretch of a trial.

    ``start`` and ``end`` in seconds from when the tool began to send, warm-up included.
    """

    start: float
    end: float
    metric: str
    value: float
    warmup: bool = False


@dataclass(frozen=True, slots=True)
class Measurement:
    """What a workload's parser made of one execution of the tool.

    ``histogram`` is an encoded HdrHistogram of latencies in microseconds (three significant
    digits), so that percentiles of several trials can be merged instead of averaged.
    """

    samples: tuple[Sample, ...]
    intervals: tuple[Interval, ...] = ()
    histogram: str | None = None


@dataclass(frozen=True, slots=True)
class Trial:
    """One cell in one block, executed, as it is stored: one line of ``trials.jsonl``.

    ``started`` is Unix time in seconds; ``elapsed`` the wall time of the whole trial, ``tool`` the
    part of it in which the tool ran. ``reason`` says why a trial was skipped or failed.
    """

    sequence: int
    block: int
    pair: HostPair
    cell: Cell
    status: Status
    reason: str = ""
    started: float = 0.0
    elapsed: float = 0.0
    tool: float = 0.0
    samples: tuple[Sample, ...] = ()
    intervals: tuple[Interval, ...] = ()
    histogram: str | None = None
    raw: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class HostFacts:
    """What a host is made of: enough to say whether two runs were made on the same kind of thing.

    ``memory`` in bytes, ``data_mtu`` in bytes.
    """

    name: str
    os: str
    kernel: str
    engine: str
    architecture: str
    cpus: int
    memory: int
    data_address: str
    data_interface: str
    data_mtu: int
    cpu_model: str = ""
    storage_driver: str = ""


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """The toolbox image of a run: what it is called, its id, its tools' versions."""

    reference: str
    image_id: str
    tools: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RunInfo:
    """The head of a run, written to ``run.json`` before the first trial."""

    format: int
    run: str
    created: str
    netbench: str
    command: tuple[str, ...]
    plan: Plan
    metrics: dict[str, tuple[Metric, ...]]
    hosts: tuple[HostFacts, ...]
    image: ImageFacts
    shared_kernel: bool
    networks: dict[str, dict[str, str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RunEnd:
    """How a run ended, written to ``end.json`` after clean-up; times in seconds of wall clock.

    ``measuring`` is the time in which a tool ran (warm-up included), ``warming`` the warm-up's
    part of it. ``outstanding`` names what could not be removed, by host.
    """

    outcome: str
    message: str
    wall: float
    setup: float
    measuring: float
    warming: float
    teardown: float
    outstanding: tuple[str, ...] = ()
