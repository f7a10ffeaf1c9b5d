"""HTTP echo in an open loop: requests at a fixed rate, whatever became of those before.

Latency counts from when a request was to be sent. A closed loop stops asking while a path stalls,
and so leaves out just what the stall keeps waiting (coordinated omission: Gil Tene, "How NOT to
Measure Latency"; Schroeder and others, "Open Versus Closed: A Cautionary Tale", NSDI 2006). The
rate is the same for all treatments: a share of what http-echo reached on the slowest of them before
the first block.
"""

from __future__ import annotations

from copy import copy
from typing import Self

from bench.errors import ParseError
from bench.model import Better, Measurement, Metric, Sample
from bench.workloads import _open
from bench.workloads.base import Cost, Parameter, ToolOutput, Workload
from bench.workloads.http_echo import WORKLOAD as CLOSED

PERCENTILES = {
    50.0: Metric("open_p50", "s", Better.LOWER, "HTTP latency at a rate p50", headline=True),
    90.0: Metric("open_p90", "s", Better.LOWER, "HTTP latency at a rate p90"),
    99.0: Metric("open_p99", "s", Better.LOWER, "HTTP latency at a rate p99", headline=True),
    99.9: Metric("open_p99.9", "s", Better.LOWER, "HTTP latency at a rate p99.9"),
    99.99: Metric("open_p99.99", "s", Better.LOWER, "HTTP latency at a rate p99.99"),
}
RATE = Metric("open_rate", "1/s", Better.HIGHER, "HTTP requests answered at a rate")
ERRORS = Metric("open_errors", "requests", Better.LOWER, "HTTP errors at a rate")
LATENESS = Metric("open_lateness", "s", Better.LOWER, "Lateness of the load generator p99")
COST = Cost(
    Metric(
        "cpu_per_krequest_open", "s/k", Better.LOWER, "CPU time per 1,000 HTTP requests at a rate"
    ),
    RATE.name,
    amount=1000.0,
)

CONNECTIONS = 64
# Bytes of /usr/share/netbench/body-1k in the image.
BODY = 1024
LOAD = Parameter(
    "load", 50, range(1, 101), "per cent of what http-echo reaches on the slowest treatment"
)
ASKED = Parameter(
    "rate",
    0,
    range(1_000_001),
    "requests a second, whatever http-echo reaches; 0 for the load",
    unset=0,
)
# A percentile with fewer requests than these beyond it says more about chance than about the path.
FEWEST_BEYOND = 10


class HttpOpen(Workload):
    name = "http-open"
    title = "HTTP echo of 1 KiB (open loop; half the rate of the slowest closed one unless told)"
    metrics = (*PERCENTILES.values(), RATE, ERRORS, LATENESS, COST.metric)
    cost = COST
    port = CLOSED.port
    parameters = (LOAD, ASKED)
    reached = 0.0

    @property
    def relative_to(self) -> str:
        return "" if self.number(ASKED.name) else CLOSED.name

    @property
    def rate(self) -> float:
        """Requests a second."""
        return self.number(ASKED.name) or self.number(LOAD.name) / 100 * self.reached

    def at(self, reached: float) -> Self:
        made = copy(self)
        made.reached = reached
        return made

    def server(self, address: str, port: int) -> tuple[str, ...]:
        return CLOSED.server(address, port)

    def client(self, address: str, port: int, duration: int, warmup: int) -> tuple[str, ...]:
        return (
            *("netbench-http-open", f"--rate={self.rate:.3f}", f"--connections={CONNECTIONS}"),
            *(f"--duration={duration}", f"--warm-up-time={warmup}"),
            *("--data=/usr/share/netbench/body-1k", f"http://{address}:{port}/echo"),
        )

    def parse(self, output: ToolOutput) -> Measurement:
        """From what netbench-http-open printed. A request without a good answer is an error, and in
        no percentile. The payload is the body of every good answer after the warm-up, and once more
        as it came with the request."""
        if output.exit_code != 0:
            said = (output.stderr or output.stdout).decode(errors="replace").split()
            raise ParseError(
                f"netbench-http-open ended with exit code {output.exit_code}: "
                f"{' '.join(said)[-200:]!r}"
            )
        found = _open.read(output.stdout)
        latencies = [
            Sample(metric.name, found.latency.percentile(at))
            for at, metric in PERCENTILES.items()
            if metric.headline or found.answered * (100 - at) / 100 >= FEWEST_BEYOND
        ]
        if not all(one.value for one in latencies):
            raise ParseError("netbench-http-open has most answers come in no time, which cannot be")
        return Measurement(
            samples=(
                *latencies,
                Sample(RATE.name, found.answered / found.seconds),
                Sample(ERRORS.name, float(found.due - found.answered)),
                Sample(LATENESS.name, found.late.percentile(99.0)),
            ),
            histogram=found.latency.encoded(),
            payload=2.0 * BODY * found.answered,
            work=float(found.whole),
        )


WORKLOAD = HttpOpen()
