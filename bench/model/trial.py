"""What is kept of a trial: what its tool measured, and what its hosts did meanwhile."""

from __future__ import annotations

from dataclasses import dataclass

from bench.model.nouns import Cell, HostPair, Status


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
    digits), so that percentiles of several trials can be merged instead of averaged. ``payload``
    is how many bytes of the application's own crossed in what was measured, both ways together; 0
    where the tool does not tell. ``work`` is how much of what the workload's cost counts was done
    from the tool's start to its end; None where that is its rate times duration and warm-up.
    """

    samples: tuple[Sample, ...]
    intervals: tuple[Interval, ...] = ()
    histogram: str | None = None
    payload: float = 0.0
    work: float | None = None


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
    ``unattested`` says what of the path could not be attested, and why.
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
