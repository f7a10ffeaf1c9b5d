"""What a workload is: its server's command, its client's command, and a pure parser."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from bench.model import Measurement, Metric


@dataclass(frozen=True, slots=True)
class ToolOutput:
    """What one execution of a tool left behind, verbatim."""

    exit_code: int
    stdout: bytes
    stderr: bytes = b""


class Workload(ABC):
    """What is run between client and server, and which metrics it yields.

    ``port`` is the server's offset from the inventory's port base; no two workloads share one.
    """

    name: str
    title: str
    metrics: tuple[Metric, ...]
    port: int

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

    @abstractmethod
    def parse(self, output: ToolOutput) -> Measurement:
        """What was measured. Raises ParseError, saying why, for anything but a full success."""
