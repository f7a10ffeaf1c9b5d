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
    """How the client reaches the server.

    ``DIRECT`` by the task's address; ``DNS`` by the name of a service in endpoint mode dnsrr, which
    stands for the task's address; ``VIP`` by the name of one in mode vip, whose address IPVS
    shares out; ``PUBLISHED_HOST`` by a port that the task's host publishes for it alone;
    ``PUBLISHED_INGRESS`` by a port of Swarm's routing mesh at the task's own node, and
    ``PUBLISHED_INGRESS_OTHER`` by the same port at another node: the client's.
    """

    DIRECT = "direct"
    DNS = "dns"
    VIP = "vip"
    PUBLISHED_HOST = "published-host"
    PUBLISHED_INGRESS = "published-ingress"
    PUBLISHED_INGRESS_OTHER = "published-ingress-other"


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
    several; when neither is given it is the network that ``address`` is on. ``line_rate`` is what
    that network's link carries in bit/s, where its interface does not tell; ``emulated_link`` says
    in words what its link is made to be like, where somebody shapes it.
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
    line_rate: float | None = None
    emulated_link: str = ""


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
    """Treatment x placement x workload: one row of the report.

    ``aa`` above zero marks an A/A cell: the baseline measured once more under a label of its own
    (the copy's number), to show what this run makes of a difference that is none.
    """

    driver: str
    access: Access
    placement: Placement
    workload: str
    aa: int = 0

    def __str__(self) -> str:
        copy = f" (A/A {self.aa})" if self.aa else ""
        return f"{self.driver}{copy}/{self.access}/{self.placement}/{self.workload}"


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
class Stopping:
    """When a run of no fixed number of blocks ends.

    ``target`` is the half-width that the 95 % intervals of the headline metrics' paired ratios are
    to reach, as a share (0.03 for 3 %), or None to use the budget up; ``budget`` the wall time of
    the whole run in seconds; no cell is settled before it has ``min_blocks`` pairs. With ``aa`` the
    run goes on for A/A cells as for any other; without it they are measured beside the others.
    """

    target: float | None
    budget: float
    min_blocks: int
    aa: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run sets out to do; `bench.plan` lays out each of its blocks from the seed.

    ``duration`` and ``warmup`` in seconds a trial. ``blocks`` is their number, or with ``stopping``
    the most there can be. ``pin`` says which CPUs the two ends are held to: ``auto``, ``off`` or
    ``CLIENT:SERVER`` with a CPU list each (see `bench.pinning`). ``mtu`` is ``auto`` (as much as
    fits between all hosts), ``default`` (what the engines do by themselves) or a number of bytes.
    """

    hosts: tuple[str, ...]
    cells: tuple[Cell, ...]
    blocks: int
    duration: int
    warmup: int
    seed: int
    stopping: Stopping | None = None
    pin: str = "off"
    mtu: str = "auto"


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
class Step:
    """What came of one rate that a trial tried: ``offered`` is what was sent and ``goodput`` what
    arrived of it, in bit/s of the application's own bytes; ``loss`` the share of the packets that
    did not. ``paced`` is false where the sender was let loose."""

    offered: float
    goodput: float
    loss: float
    paced: bool = True


@dataclass(frozen=True, slots=True)
class Measurement:
    """What a workload's parser made of one execution of the tool.

    ``histogram`` is an encoded HdrHistogram of latencies in microseconds (three significant
    digits), so that percentiles of several trials can be merged instead of averaged. ``payload``
    is how many bytes of the application's own crossed in what was measured, both ways together; 0
    where the tool does not tell. ``work`` is how much of what the workload's cost counts was done
    from the tool's start to its end; None where that is its rate times duration and warm-up.
    ``steps`` are the rates that were tried, in their order, where the tool searches for one.
    """

    samples: tuple[Sample, ...]
    intervals: tuple[Interval, ...] = ()
    histogram: str | None = None
    payload: float = 0.0
    work: float | None = None
    steps: tuple[Step, ...] = ()


@dataclass(frozen=True, slots=True)
class CoreUse:
    """CPU time of one core between two readings, in seconds, by kind (see proc_stat(5)).

    ``system`` and ``user`` are without the interrupts; ``steal`` is what the hypervisor gave to
    others while this core had work to do.
    """

    user: float
    system: float
    softirq: float
    irq: float
    steal: float
    idle: float


@dataclass(frozen=True, slots=True)
class EndUse:
    """What one host did while a trial's tool ran: the difference of two readings of its /proc.

    ``seconds`` lie between the readings. ``load`` is the 1-minute load average after the trial;
    ``retransmits`` the TCP segments that its kernel, containers included, sent again; ``drops`` the
    packets lost in its receive queues and interfaces; ``pressure`` the share of the time in which
    some task waited for a CPU (PSI), None where the kernel does not tell. ``frequency`` in Hz per
    core where known. ``pinned`` is the list of CPUs that this trial's container was held to, empty
    for all, and ``CLIENT:SERVER`` where both ends ran on this host.
    """

    host: str
    roles: tuple[str, ...]
    seconds: float
    cores: tuple[CoreUse, ...]
    load: float
    retransmits: int
    drops: int
    pressure: float | None = None
    frequency: tuple[float, ...] = ()
    pinned: str = ""


@dataclass(frozen=True, slots=True)
class Passage:
    """Bytes that one interface counted while a trial's tool ran, in and out together.

    ``where`` says whose interface it is in the words of the path (`client container`, `vxlan`,
    `data interface`, ...); ``host`` and ``interface`` which one exactly.
    """

    host: str
    where: str
    interface: str
    moved: int


@dataclass(frozen=True, slots=True)
class Trial:
    """One cell in one block, executed, as it is stored: one line of ``trials.jsonl``.

    ``started`` is Unix time in seconds; ``elapsed`` the wall time of the whole trial, ``tool`` the
    part of it in which the tool ran. ``reason`` says why a trial was skipped or failed. ``ends``
    has one entry per host that took part, ``path`` the counters that attest the path;
    ``unattested`` says what of the path could not be attested, and why. ``steps`` are the rates
    that a search has tried.
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
    ends: tuple[EndUse, ...] = ()
    path: tuple[Passage, ...] = ()
    unattested: str = ""
    steps: tuple[Step, ...] = ()


@dataclass(frozen=True, slots=True)
class HostFacts:
    """What a host is made of: enough to say whether two runs were made on the same kind of thing.

    ``memory`` in bytes, ``data_mtu`` in bytes; ``link_speed`` of the data interface in bit/s where
    a real device or the inventory tells it. ``tuning`` has what the playbooks' tuning has in
    force, a word each (``gro=off``); a machine that is as it came has none. ``emulated_link`` says
    in words what its link is made to be like, empty where nobody shapes it.
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
    where ``reason`` says why there is none. ``raw`` has the tool's output."""

    cell: Cell
    pair: HostPair
    value: float | None
    reason: str = ""
    raw: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RunInfo:
    """The head of a run, written to ``run.json`` before the first trial.

    ``working`` is for how many seconds a trial's tool is at work, warm-ups included, by workload;
    a run that does not tell has tools that worked for the plan's duration and warm-up. ``note`` is
    what the user had to say of the run, ``checkout`` is None where the inventory is in no git
    repository. ``reached`` is what was measured before the first block to set rates by.
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
    reached: tuple[Reached, ...] = ()

    def slowest_of_each(self) -> dict[str, float]:
        """What the slowest treatment reached before the first block, by workload."""
        found: dict[str, float] = {}
        for one in self.reached:
            if one.value is not None:
                least = found.get(one.cell.workload, one.value)
                found[one.cell.workload] = min(least, one.value)
        return found

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
