"""What is kept of a run besides its trials: its head, its hosts and paths, and its end."""

from __future__ import annotations

from dataclasses import dataclass, field

from bench.model.nouns import Cell, HostPair, Metric, Plan
from bench.model.picture import PathPicture


@dataclass(frozen=True, slots=True)
class HostFacts:
    """What a host is made of: enough to say whether two runs were made on the same kind of thing.

    ``memory`` in bytes, ``data_mtu`` in bytes; ``link_speed`` of the data interface in bit/s where
    a real device or the inventory tells it. ``tuning`` has what the playbooks' tuning has in
    force, a word each (``gro=off``); a machine that is as it came has none. ``emulated_link`` says
    in words what its link is made to be like, empty where nobody shapes it. ``publishing`` is how
    its engine leads a port published on the host to a container for that host's own clients:
    ``docker-proxy``, or ``kernel`` where its userland proxy is off; empty where the run published
    none there, or it could not be told.
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
    link_speed: float | None = None
    tuning: tuple[str, ...] = ()
    emulated_link: str = ""
    publishing: str = ""


@dataclass(frozen=True, slots=True)
class PathFacts:
    """What one interface on a treatment's path is set to, read once before the first block.

    ``mtu`` in bytes; ``offloads`` the features of ethtool(8) that matter to tunnels and bulk
    transfers, by name; ``route`` the kernel's route to the other end, as ``ip route get`` says it.
    """

    driver: str
    host: str
    where: str
    interface: str
    mtu: int
    offloads: dict[str, bool] = field(default_factory=dict)
    route: str = ""


@dataclass(frozen=True, slots=True)
class UnderlayPath:
    """The path from one host to another before anything was created, in bytes a packet.

    ``size`` is the MTU of the source's data interface and ``largest`` the largest packet that
    arrived (None where none was answered); ``outcome`` is ``open``, ``smaller`` (a router said so),
    ``black-hole`` (larger ones vanish) or ``not tried``.
    """

    source: str
    target: str
    size: int
    largest: int | None
    outcome: str


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """The toolbox image of a run: what it is called, its id, its tools' versions."""

    reference: str
    image_id: str
    tools: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Checkout:
    """The git commit that the inventory was at; ``changed`` where its repository held more than
    that commit."""

    commit: str
    changed: bool = False


@dataclass(frozen=True, slots=True)
class Reached:
    """What one treatment reached of a workload before the first block, in one execution: the rates
    of other workloads follow from the slowest. ``value`` is the workload's first headline, None
    where ``reason`` says why there is none, in ``unit``. ``raw`` has the tool's output."""

    cell: Cell
    pair: HostPair
    value: float | None
    reason: str = ""
    raw: tuple[str, ...] = ()
    unit: str = "1/s"


@dataclass(frozen=True, slots=True)
class RunInfo:
    """The head of a run, written to ``run.json`` before the first trial.

    ``working`` is for how many seconds a trial's tool is at work, warm-ups included, by workload;
    a run that does not tell has tools that worked for the plan's duration and warm-up. ``note`` is
    what the user had to say of the run, ``checkout`` is None where the inventory is in no git
    repository. ``pictures`` has one entry for each treatment, placement and pair of hosts.
    ``reached`` is what was measured before the first block to set rates by.
    """

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
    paths: tuple[PathFacts, ...] = ()
    working: dict[str, float] = field(default_factory=dict)
    underlay: tuple[UnderlayPath, ...] = ()
    note: str = ""
    checkout: Checkout | None = None
    pictures: tuple[PathPicture, ...] = ()
    reached: tuple[Reached, ...] = ()

    def slowest_of_each(self) -> dict[str, float]:
        """What the slowest treatment reached before the first block, by workload."""
        found: dict[str, float] = {}
        for one in self.reached:
            if one.value is not None:
                least = found.get(one.cell.workload, one.value)
                found[one.cell.workload] = min(least, one.value)
        return found

    def unit_reached(self, workload: str) -> str:
        """The unit of what `slowest_of_each` says of a workload that it has."""
        every = (one for one in self.reached if one.cell.workload == workload)
        return next(one.unit for one in every if one.value is not None)

    def worked(self, workload: str) -> float:
        """For how many seconds the tool of a trial was to be at work, warm-ups included."""
        return self.working.get(workload, self.plan.duration + self.plan.warmup)


@dataclass(frozen=True, slots=True)
class RunEnd:
    """How a run ended, written to ``end.json`` after clean-up; times in seconds of wall clock.

    ``measuring`` is the time in which a tool ran (warm-up included), ``warming`` the warm-up's
    part of it. ``outstanding`` names what could not be removed, by host. ``blocks`` is how many
    blocks were begun, ``reading`` the time that reading counters and facts around trials took.
    """

    outcome: str
    message: str
    wall: float
    setup: float
    measuring: float
    warming: float
    teardown: float
    outstanding: tuple[str, ...] = ()
    blocks: int = 0
    reading: float = 0.0
