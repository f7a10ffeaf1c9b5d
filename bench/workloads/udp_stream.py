"""UDP bulk traffic: the highest rate at which (almost) everything arrives, by a search.

A sender of UDP can send more than any path carries: its unpaced rate says nothing. The throughput
of RFC 2544 (section 26.1, which RFC 8219 section 7.1 takes over) is the highest rate at which no
packet is lost; on shared machines, where now and then one always is, what is kept within a small
share of loss says more. 0.5 % is the partial drop rate that FD.io's CSIT reports. Both are searched
for in one trial, by `netbench-udp-search` in the toolbox image, which prints every step.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from bench.errors import ParseError
from bench.model import Better, Measurement, Metric, Sample
from bench.units import human
from bench.workloads._iperf3 import report
from bench.workloads._udp import Sent, sent
from bench.workloads.base import Cost, Parameter, Span, ToolOutput, Workload

GOODPUT = Metric("udp_goodput", "bit/s", Better.HIGHER, "UDP goodput at 0.5 % loss", headline=True)
PACKETS = Metric("udp_packets", "1/s", Better.HIGHER, "UDP packets at 0.5 % loss")
JITTER = Metric("udp_jitter", "s", Better.LOWER, "UDP jitter at 0.5 % loss")
LOSSLESS = Metric("udp_goodput_lossless", "bit/s", Better.HIGHER, "UDP goodput without loss")
COST = Cost(
    Metric("cpu_per_udp_gb", "s/GB", Better.LOWER, "CPU time per GB of UDP"), GOODPUT.name, 8e9
)

# The share of packets (per cent) that may be lost.
TOLERATED = 0.5

# How a trial's duration is divided: into steps of whole seconds, about this many and no fewer than
# the least, which takes longer than short durations.
STEPS = 12
LEAST_STEPS = 8
# Seconds between two steps, and what iperf3 takes to start and to end, on a path of little delay.
BETWEEN = 0.15

# The packets of a VoIP call, of the middle, and the most that passes unbroken through VXLAN.
SIZE = Parameter("size", 1400, (64, 512, 1400), "bytes of a packet's content")

_STEP = re.compile(rb"^netbench-udp-search: step (\d{1,4}) of (\d{1,4})( again)?\n", re.MULTILINE)


class UdpStream(Workload):
    name = "udp-stream"
    title = "UDP goodput (iperf3, search for the rate; 1400 bytes unless told)"
    metrics = (GOODPUT, PACKETS, JITTER, LOSSLESS, COST.metric)
    cost = COST
    port = 3
    udp = True
    parameters = (SIZE,)

    def server(self, address: str, port: int) -> tuple[str, ...]:
        return ("iperf3", "--server", "--json", "--bind", address, "--port", str(port))

    def probe(self, address: str, port: int) -> tuple[str, ...]:
        return (
            *("iperf3", "--udp", "--client", address, "--port", str(port)),
            *(
                "--bytes",
                "16K",
                "--length",
                str(self.number(SIZE.name)),
                "--connect-timeout",
                "3000",
            ),
        )

    def client(self, address: str, port: int, duration: int, warmup: int) -> tuple[str, ...]:
        steps, seconds = _division(duration)
        return (
            *("netbench-udp-search", f"--look={max(1, warmup)}"),
            *(f"--steps={steps}", f"--seconds={seconds}", f"--limit={TOLERATED}", "--limit=0"),
            *("--json", "--udp", "--client", address, "--port", str(port)),
            *("--length", str(self.number(SIZE.name)), "--connect-timeout", "3000"),
        )

    def span(self, duration: int, warmup: int) -> Span:
        steps, seconds = _division(duration)
        return Span(steps * (seconds + BETWEEN), max(1, warmup) + BETWEEN)

    def parse(self, output: ToolOutput) -> Measurement:
        """From what netbench-udp-search printed. The result is that of the paced step of the
        highest goodput which lost no more than it may; whatever arrived in any step is payload, and
        work."""
        tried = list(_tried(output))
        paced = [one for one in tried if one.step.paced]
        best = _best(paced, TOLERATED / 100)
        if best is None:
            least = min(paced, key=lambda one: one.step.loss)
            raise ParseError(
                f"no rate kept to {TOLERATED} % of loss: of {human(least.step.offered, 'bit/s')} "
                f"{least.step.loss:.1%} was lost"
            )
        lossless = _best(paced, 0.0)
        samples = [
            Sample(GOODPUT.name, best.step.goodput),
            Sample(PACKETS.name, best.step.goodput / 8 / best.length),
            Sample(JITTER.name, best.jitter),
        ]
        if lossless is not None:
            samples.append(Sample(LOSSLESS.name, lossless.step.goodput))
        arrived = sum(one.arrived for one in tried)
        return Measurement(
            samples=tuple(samples),
            payload=arrived,
            work=8 * arrived,
            steps=tuple(one.step for one in tried),
        )


def _division(duration: int) -> tuple[int, int]:
    """Into how many steps of how many seconds the search divides ``duration`` seconds."""
    seconds = max(1, duration // STEPS)
    return max(LEAST_STEPS, duration // seconds), seconds


def _best(paced: Sequence[Sent], limit: float) -> Sent | None:
    """The step of the highest goodput that lost no more than the share ``limit``: what is let
    through with some loss is then never below what is without."""
    kept = [one for one in paced if one.step.loss <= limit and one.step.goodput > 0]
    return max(kept, key=lambda one: one.step.goodput, default=None)


def _tried(output: ToolOutput) -> Iterator[Sent]:
    """Every step in its order. Raises ParseError unless all of them are there and whole."""
    _, *parts = _STEP.split(output.stdout)
    found = list(zip(parts[::4], parts[1::4], parts[2::4], parts[3::4], strict=True))
    if not found:
        report(output)
        raise ParseError("netbench-udp-search printed no step")
    # What was tried again found a server that was not ready yet.
    counted = [
        (int(step), int(of), said)
        for (step, of, _, said), following in zip(found, [*found[1:], None], strict=True)
        if following is None or not following[2]
    ]
    last = len(counted) - 1
    for place, (step, _, said) in enumerate(counted):
        # Only the last step may have failed: the search ends with it.
        code = output.exit_code if place == last else 0
        yield sent(report(ToolOutput(code, said, output.stderr)), paced=step > 0)
    if [step for step, _, _ in counted] != list(range(counted[0][1] + 1)) or last == 0:
        raise ParseError(f"netbench-udp-search made {last} steps of {counted[0][1]}")


WORKLOAD = UdpStream()
