"""UDP at the same rate for all treatments: what the same packets cost on each of them.

udp-stream asks every path for another rate, and its search spends CPU time on rates that lose. Here
all are sent the same: a share of what udp-stream reached on the slowest treatment before the first
block, or the rate that was given.
"""

from __future__ import annotations

from copy import copy
from typing import Self

from bench.errors import ParseError
from bench.model import Better, Measurement, Metric, Sample
from bench.units import human
from bench.workloads._iperf3 import report
from bench.workloads._udp import sent
from bench.workloads.base import Cost, Parameter, Span, ToolOutput, Workload
from bench.workloads.udp_stream import SIZE
from bench.workloads.udp_stream import WORKLOAD as SEARCHED

GOODPUT = Metric("paced_goodput", "bit/s", Better.HIGHER, "UDP goodput at a rate", headline=True)
LOSS = Metric("paced_loss", "%", Better.LOWER, "UDP loss at a rate")
JITTER = Metric("paced_jitter", "s", Better.LOWER, "UDP jitter at a rate")
# What the workload is for; the goodput beside it shows that the rate was the same for all.
SPENT = Metric(
    "cpu_per_paced_gb", "s/GB", Better.LOWER, "CPU time per GB of UDP at a rate", headline=True
)
COST = Cost(SPENT, GOODPUT.name, amount=8e9)

LOAD = Parameter(
    "load", 50, range(1, 101), "per cent of what udp-stream reaches on the slowest treatment"
)
ASKED = Parameter(
    "rate", 0, range(100_001), "Mbit/s, whatever udp-stream reaches; 0 for the load", unset=0
)
# A trial that sent less than this share of its rate, or lost more than the rest of it, was not at
# the rate that it is compared at.
KEPT = 0.9


class UdpPaced(Workload):
    name = "udp-paced"
    title = (
        "UDP at one rate (iperf3; half of what the slowest search finds, 1400 bytes, unless told)"
    )
    metrics = (GOODPUT, LOSS, JITTER, COST.metric)
    cost = COST
    port = SEARCHED.port
    udp = True
    parameters = (SIZE, LOAD, ASKED)
    reached = 0.0

    @property
    def relative_to(self) -> str:
        return "" if self.number(ASKED.name) else self._searched.name

    @property
    def rate(self) -> float:
        """Bit/s of the packets' content."""
        given = 1e6 * self.number(ASKED.name)
        return given or self.number(LOAD.name) / 100 * self.reached

    def at(self, reached: float) -> Self:
        made = copy(self)
        made.reached = reached
        return made

    @property
    def _searched(self) -> Workload:
        """The search for the rate of the same packets, whose server serves both."""
        return SEARCHED.having(self.chosen)

    def server(self, address: str, port: int) -> tuple[str, ...]:
        return SEARCHED.server(address, port)

    def probe(self, address: str, port: int) -> tuple[str, ...]:
        return self._searched.probe(address, port)

    def client(self, address: str, port: int, duration: int, warmup: int) -> tuple[str, ...]:
        return (
            *("iperf3", "--json", "--udp", "--client", address, "--port", str(port)),
            *("--time", str(duration + warmup), "--bitrate", f"{self.rate:.0f}"),
            *("--length", str(self.number(SIZE.name)), "--connect-timeout", "3000"),
        )

    def span(self, duration: int, warmup: int) -> Span:
        # At a pace there is nothing to come up to: the warm-up's packets count as all others do.
        return Span(duration + warmup, 0.0)

    def parse(self, output: ToolOutput) -> Measurement:
        """From iperf3's JSON; whatever arrived is payload, and work."""
        found = sent(report(output), paced=True)
        step = found.step
        if step.offered < KEPT * found.asked:
            raise ParseError(
                f"iperf3 sent {human(step.offered, 'bit/s')} where {human(found.asked, 'bit/s')} "
                "were asked for: the sender does not keep up with the rate"
            )
        if 1 - step.loss < KEPT or step.goodput <= 0:
            raise ParseError(
                f"{step.loss:.1%} was lost of {human(step.offered, 'bit/s')}: the path does not "
                "keep up with the rate"
            )
        return Measurement(
            samples=(
                Sample(GOODPUT.name, step.goodput),
                Sample(LOSS.name, 100 * step.loss),
                Sample(JITTER.name, found.jitter),
            ),
            payload=found.arrived,
            work=8 * found.arrived,
        )


WORKLOAD = UdpPaced()
