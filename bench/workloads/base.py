"""What a workload is: its server's command, its client's command, and a pure parser."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Self

from bench.errors import UsageError
from bench.model import Measurement, Metric
from bench.workloads._pairs import FASTEST, SLOWEST, together


@dataclass(frozen=True, slots=True)
class ToolOutput:
    """What one execution of a tool left behind, verbatim."""

    exit_code: int
    stdout: bytes
    stderr: bytes = b""

    @classmethod
    def of_pairs(cls, outputs: Sequence[Self]) -> Self:
        """One or more outputs as one, each of several after a line with its number; the exit code
        is the first that is not 0."""
        first, *others = outputs
        if not others:
            return first
        heads = [f"\n== pair {number} ==\n".encode() for number in range(1, len(outputs) + 1)]
        return cls(
            next((one.exit_code for one in outputs if one.exit_code), 0),
            b"".join(head + one.stdout for head, one in zip(heads, outputs, strict=True)),
            b"".join(head + one.stderr for head, one in zip(heads, outputs, strict=True)),
        )


@dataclass(frozen=True, slots=True)
class Span:
    """For how long a client's command is at work, in seconds: all that it measures together, and
    all that it warms up for it. ``idle`` is how long it then waits for nothing but its own end."""

    measured: float
    warmup: float
    idle: float = 0.0

    @property
    def seconds(self) -> float:
        return self.measured + self.warmup

    @property
    def wall(self) -> float:
        """From the command's start to its end."""
        return self.seconds + self.idle


@dataclass(frozen=True, slots=True)
class Parameter:
    """One thing of a workload that may be chosen: its ``name``, its ``default``, and every value
    that it ``allows``. ``title`` says what it is, with its unit. The value ``unset``, where there
    is one, leaves it to another parameter."""

    name: str
    default: int | str
    allows: range | tuple[int | str, ...]
    title: str
    unset: int | None = None

    def value(self, text: str) -> int | str:
        """The allowed value that ``text`` stands for. Raises UsageError for any other."""
        number = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None
        for found in (text, number):
            if found is not None and found in self.allows:
                return found
        raise UsageError(
            f"{self.name} ({self.title}) cannot be {text!r}", f"it may be {self.choices}"
        )

    @property
    def choices(self) -> str:
        """What it may be, in words."""
        if isinstance(self.allows, range):
            return f"{self.allows[0]} to {self.allows[-1]}"
        return ", ".join(map(str, self.allows))


@dataclass(frozen=True, slots=True)
class Cost:
    """The CPU time that a unit of a workload's work takes, both ends together.

    ``rate`` names the sample that counts the work per second, ``amount`` says how much of it makes
    one unit: 8e9 for a GB where the rate is in bit/s.
    """

    metric: Metric
    rate: str
    amount: float

    def value(self, busy: float, work: float) -> float:
        """The cost, in the metric's unit.

        ``busy`` is the CPU seconds in which all cores of both hosts together worked while the tool
        ran: the whole hosts', kernel included, idle and stolen time left out. ``work`` is how much
        was done in that time (the rate times seconds), warm-up included, in which the rate is taken
        to be the same as in what was measured after it.

        It is too high by what else ran on the hosts, and by what it takes to start and end the tool
        and to read the counters: the more so, the shorter a trial and the slower the network. What
        an idle host uses is in it. Ratios to the baseline suffer less, as all of them share it.
        """
        return busy / work * self.amount


PAIRS = Parameter("pairs", 1, range(1, 9), "client-server pairs at once on the same hosts")


class Workload(ABC):
    """What is run between client and server.

    ``metrics`` are those that the parser yields and that of ``cost``. ``port`` is the server's
    offset from the inventory's port base: workloads share one only where they share the server.
    ``data_port`` is the offset of a second port, whose number the two ends tell each other, so that
    it is published under its own; ``udp`` says that UDP goes to the last of these besides.

    A class is a family of workloads: ``parameters`` is what may be chosen, ``chosen`` what was
    where it is not the default; that is a part of the ``name`` (see `bench.workloads.named`).
    """

    name: str
    title: str
    metrics: tuple[Metric, ...]
    cost: Cost
    port: int
    data_port: int | None = None
    udp: bool = False
    parameters: tuple[Parameter, ...] = ()
    chosen: Mapping[str, int | str] = MappingProxyType({})

    @property
    def family(self) -> str:
        """The name without parameters."""
        return type(self).name

    def value(self, name: str) -> int | str:
        """The value of a parameter: the chosen one, else its default."""
        defaults = {one.name: one.default for one in self.parameters}
        return self.chosen.get(name, defaults[name])

    def number(self, name: str) -> int:
        """The value of a parameter whose values are numbers."""
        return int(self.value(name))

    def having(self, chosen: Mapping[str, int | str]) -> Self:
        """The same workload with other values than the defaults for some of its parameters."""
        kept = {
            one.name: chosen[one.name]
            for one in self.parameters
            if chosen.get(one.name, one.default) != one.default
        }
        made = type(self)()
        if kept:
            made.chosen = MappingProxyType(kept)
            told = [f"{name}={value}" for name, value in kept.items()]
            made.name = ":".join((made.name, *told))
            made.title = f"{made.title}; {', '.join(told)}"
            # Charts and tables have the metrics of several workloads side by side.
            titles = f"({', '.join(told)})"
            made.metrics = tuple(
                replace(one, title=f"{one.title} {titles}") for one in made.metrics
            )
        if made.pairs > 1:
            rate = next(one for one in made.metrics if one.name == made.cost.rate)
            made.metrics = (
                *made.metrics,
                Metric(SLOWEST, rate.unit, rate.better, f"{rate.title} of the slowest pair"),
                Metric(FASTEST, rate.unit, rate.better, f"{rate.title} of the fastest pair"),
            )
        return made

    @property
    def relative_to(self) -> str:
        """The workload whose first headline, on the slowest treatment, decides at which rate this
        one runs; empty for none."""
        return ""

    def at(self, reached: float) -> Self:
        """Itself at the rate that follows from what ``relative_to`` ``reached``."""
        return self

    @property
    def pairs(self) -> int:
        """How many pairs of a client and a server run it at once."""
        return self.number(PAIRS.name) if PAIRS in self.parameters else 1

    @abstractmethod
    def server(self, address: str, port: int) -> tuple[str, ...]:
        """The command that serves on TCP ``port`` of ``address`` until it is ended."""

    def probe(self, address: str, port: int) -> tuple[str, ...]:
        """A command that shows in an instant whether the server answers, and exits with 0 if so;
        nothing where the probe that every path gets (an HTTP request) is enough."""
        return ()

    def refusal(self, address: str) -> str:
        """Why this workload cannot reach a server at ``address``; empty where it can."""
        return ""

    @abstractmethod
    def client(self, address: str, port: int, duration: int, warmup: int) -> tuple[str, ...]:
        """The command that measures for ``duration`` seconds after ``warmup`` seconds."""

    def span(self, duration: int, warmup: int) -> Span:
        """How long that command is at work: these times, unless it measures something besides."""
        return Span(duration, warmup)

    @abstractmethod
    def parse(self, output: ToolOutput) -> Measurement:
        """What was measured. Raises ParseError, saying why, for anything but a full success."""

    def together(self, outputs: Sequence[ToolOutput]) -> Measurement:
        """What the clients of one or more pairs measured at once (see `bench.workloads._pairs`)."""
        return together(self, outputs)
