"""What a workload is: its server's command, its client's command, and a pure parser."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Self

from bench.model import Measurement, Metric


@dataclass(frozen=True, slots=True)
class ToolOutput:
    """What one execution of a tool left behind, verbatim."""

    exit_code: int
    stdout: bytes
    stderr: bytes = b""


@dataclass(frozen=True, slots=True)
class Span:
    """For how long a client's command is at work, in seconds: all that it measures together, and
    all that it warms up for it."""

    measured: float
    warmup: float

    @property
    def seconds(self) -> float:
        return self.measured + self.warmup


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


class Workload(ABC):
    """What is run between client and server, and which metrics it yields.

    ``metrics`` are those that the parser yields and that of ``cost``, which is added to them.
    ``port`` is the server's offset from the inventory's port base; workloads share one
    only where they share the server.
    ``usual`` says whether it is run where no workload is named. ``relative_to`` names the workload
    whose first headline, on the slowest treatment, decides at which rate this one runs.
    """

    name: str
    title: str
    metrics: tuple[Metric, ...]
    cost: Cost
    port: int
    usual: bool = True
    relative_to: str = ""

    def at(self, reached: float) -> Self:
        """Itself at the rate that follows from what ``relative_to`` ``reached``."""
        return self

    @abstractmethod
    def server(self, address: str, port: int) -> tuple[str, ...]:
        """The command that serves on TCP ``port`` of ``address`` until it is ended."""

    def probe(self, address: str, port: int) -> tuple[str, ...]:
        """A command that shows in an instant whether the server answers, and exits with 0 if so;
        nothing where the probe that every path gets (an HTTP request) is enough."""
        return ()

    @abstractmethod
    def client(self, address: str, port: int, duration: int, warmup: int) -> tuple[str, ...]:
        """The command that measures for ``duration`` seconds after ``warmup`` seconds."""

    def span(self, duration: int, warmup: int) -> Span:
        """How long that command is at work: these times, unless it measures something besides."""
        return Span(duration, warmup)

    @abstractmethod
    def parse(self, output: ToolOutput) -> Measurement:
        """What was measured. Raises ParseError, saying why, for anything but a full success."""
