"""What a bulk transfer does to its neighbours: the latency of requests alone and beside a stream.

The requests are those of http-open, at a low rate of their own: they are sent on time however full
the path is, and their latency counts from when each was to be sent.
"""

from __future__ import annotations

import re

from bench.errors import ParseError
from bench.model import Better, Measurement, Metric, Sample
from bench.workloads import _iperf3 as iperf3
from bench.workloads import _open
from bench.workloads._iperf3 import number
from bench.workloads.base import Cost, Span, ToolOutput, Workload
from bench.workloads.http_echo import WORKLOAD as ECHO
from bench.workloads.http_open import BODY

SHOWN = {50.0: "p50", 99.0: "p99"}
BESIDE = {
    at: Metric(
        f"loaded_{word}", "s", Better.LOWER, f"Latency beside a stream {word}", headline=True
    )
    for at, word in SHOWN.items()
}
ADDED = {
    at: Metric(f"added_{word}", "s", Better.LOWER, f"Latency that a stream adds {word}")
    for at, word in SHOWN.items()
}
ALONE = {
    at: Metric(f"unloaded_{word}", "s", Better.LOWER, f"Latency without the stream {word}")
    for at, word in SHOWN.items()
}
LATENESS = Metric("loaded_lateness", "s", Better.LOWER, "Lateness of requests beside a stream p99")
STREAM = Metric("loaded_throughput", "bit/s", Better.HIGHER, "TCP throughput beside requests")
COST = Cost(
    Metric("cpu_per_loaded_gb", "s/GB", Better.LOWER, "CPU time per GB beside requests"),
    STREAM.name,
    amount=8e9,
)

# Requests a second: enough for a p99 in five seconds, and next to nothing for the path.
RATE = 400
CONNECTIONS = 16

_PART = re.compile(rb"^netbench-loaded-latency: (alone|beside|stream)\n", re.MULTILINE)
_PARTS = [b"alone", b"beside", b"stream"]


class LatencyUnderLoad(Workload):
    name = "latency-under-load"
    title = f"HTTP latency beside a TCP stream (iperf3, {RATE} requests/s)"
    metrics = (*BESIDE.values(), *ADDED.values(), *ALONE.values(), LATENESS, STREAM, COST.metric)
    cost = COST
    port = 4

    def server(self, address: str, port: int) -> tuple[str, ...]:
        return ("iperf3", "--server", "--json", "--bind", address, "--port", str(port))

    def probe(self, address: str, port: int) -> tuple[str, ...]:
        return (
            *("iperf3", "--client", address, "--port", str(port)),
            *("--bytes", "128K", "--connect-timeout", "3000"),
        )

    def client(self, address: str, port: int, duration: int, warmup: int) -> tuple[str, ...]:
        # The echo server is on every server, and its port is as far off in every access.
        url = f"http://{address}:{port - self.port + ECHO.port}/echo"
        timing = (duration, warmup, _ramp(warmup))
        return (
            *("netbench-loaded-latency", url, str(RATE), str(CONNECTIONS), *map(str, timing)),
            *("--json", "--client", address, "--port", str(port), "--connect-timeout", "3000"),
        )

    def span(self, duration: int, warmup: int) -> Span:
        # The stream goes on for a second after the last request.
        return Span(2 * duration + 1, warmup + _ramp(warmup))

    def parse(self, output: ToolOutput) -> Measurement:
        """From what netbench-loaded-latency printed. What a stream adds is 0 where requests were
        faster beside it. Payload are the bodies both ways and what arrived of the stream; work is
        the stream's."""
        _, *parts = _PART.split(output.stdout)
        texts = parts[1::2]
        if parts[::2] != _PARTS or (output.exit_code and output.stderr):
            # What iperf3 says goes to standard output.
            said = (output.stderr or output.stdout).decode(errors="replace").split()
            raise ParseError(
                f"netbench-loaded-latency ended with exit code {output.exit_code}: "
                f"{' '.join(said)[-200:]!r}"
            )
        report = iperf3.report(ToolOutput(output.exit_code, texts[2], output.stderr))
        with iperf3.reading():
            received = report["end"]["sum_received"]
            rate, arrived = number(received["bits_per_second"]), number(received["bytes"])
            short = iperf3.cut_short(report, received)
        if short:
            raise ParseError(short)
        if rate <= 0 or arrived <= 0:
            raise ParseError(f"iperf3 reports {rate} bit/s, {arrived} bytes at the receiver")
        alone, beside = _open.read(texts[0]), _open.read(texts[1], punctual=False)
        before = {at: alone.latency.percentile(at) for at in SHOWN}
        after = {at: beside.latency.percentile(at) for at in SHOWN}
        if not all(after.values()):
            raise ParseError("netbench-http-open has answers come in no time, which cannot be")
        return Measurement(
            samples=(
                *(Sample(metric.name, after[at]) for at, metric in BESIDE.items()),
                *(
                    Sample(metric.name, max(0.0, after[at] - before[at]))
                    for at, metric in ADDED.items()
                ),
                *(Sample(metric.name, before[at]) for at, metric in ALONE.items()),
                Sample(LATENESS.name, beside.late.percentile(99.0)),
                Sample(STREAM.name, rate),
            ),
            histogram=beside.latency.encoded(),
            payload=arrived + 2.0 * BODY * (alone.answered + beside.answered),
            work=8 * arrived,
        )


def _ramp(warmup: int) -> int:
    """Seconds for which the stream runs before the requests that are measured beside it."""
    return max(1, warmup)


WORKLOAD = LatencyUnderLoad()
