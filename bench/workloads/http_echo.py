"""HTTP echo in a closed loop: each connection sends its next request when the answer is there.

A trial has two stretches, one right after the other (see docs/adr/0010-http-in-two-stretches.md):
h2load as it is, which gives the rate, and a shorter one in which it logs every request, which gives
the latencies. Writing the log would take some per cent off the rate.
"""

from __future__ import annotations

import math

import numpy as np
from hdrh.histogram import HdrHistogram
from numpy.typing import NDArray

from bench.errors import ParseError
from bench.model import Better, Measurement, Metric, Sample
from bench.workloads import _h2load as h2load
from bench.workloads._h2load import LONGEST_US, Answers, Summary
from bench.workloads.base import Cost, Parameter, Span, ToolOutput, Workload

RATE = Metric("requests", "1/s", Better.HIGHER, "HTTP requests", headline=True)
PERCENTILES = {
    50.0: Metric("latency_p50", "s", Better.LOWER, "HTTP latency p50", headline=True),
    90.0: Metric("latency_p90", "s", Better.LOWER, "HTTP latency p90"),
    99.0: Metric("latency_p99", "s", Better.LOWER, "HTTP latency p99", headline=True),
    99.9: Metric("latency_p99.9", "s", Better.LOWER, "HTTP latency p99.9"),
}
ERRORS = Metric("errors", "requests", Better.LOWER, "HTTP errors")
COST = Cost(
    Metric("cpu_per_krequest", "s/k", Better.LOWER, "CPU time per 1,000 HTTP requests"),
    RATE.name,
    amount=1000.0,
)

CONNECTIONS = Parameter("connections", 16, range(1, 1025), "connections at once")
# A file of each size is in the image; the server sends back what it is sent.
_FILES = {
    0: (),
    1024: ("--data=/usr/share/netbench/body-1k",),
    65_536: ("--data=/usr/share/netbench/body-64k",),
}
BODY = Parameter("body", 1024, tuple(_FILES), "bytes of a request's body, and of its answer's")
KEEP, NEW = "keep", "new"
REUSE = Parameter("connection", KEEP, (KEEP, NEW), "kept, or a new one for every request")
_PATHS = {KEEP: "echo", NEW: "echo-and-close"}

# Seconds in which a connection that hears nothing is given up: without it h2load waits minutes
# for a connection that does not come about.
SILENCE = 5

# The logged stretch lasts for this part of the duration, in whole seconds and one at least. Where
# there is a warm-up at all it has a short one, for its connections: the rest is warm already.
LOGGED_PART = 5
LOGGED_WARMUP = 0.5

# In a closed loop every connection always waits for an answer, so the latencies must add up to
# connections x duration. A connection that died, or hangs on a request that is never answered,
# leaves no trace in h2load's counts (it reports no error, only a lower rate) but it is missing
# here. This part of the time may be missing, beside the requests that the ends of the measurement
# cut: a typical latency a connection at its beginning, and the longest at its end, where a machine
# may just be as busy with something else as it was then.
IDLE_ALLOWED = 0.1
# With a new connection for every request making it is no part of the latency, and takes the longer.
CONNECTING_ALLOWED = 0.9

# What netbench-http-load prints between the two stretches.
_BETWEEN = "\nnetbench-http-load: logged\n"


class HttpEcho(Workload):
    name = "http-echo"
    title = "HTTP echo (h2load, closed loop; 16 connections and 1 KiB unless told)"
    metrics = (RATE, *PERCENTILES.values(), ERRORS, COST.metric)
    cost = COST
    port = 80
    parameters = (CONNECTIONS, BODY, REUSE)

    def server(self, address: str, port: int) -> tuple[str, ...]:
        return ("netbench-echo", str(port), address)

    def client(self, address: str, port: int, duration: int, warmup: int) -> tuple[str, ...]:
        logged = self._logged(duration, warmup)
        return (
            *("netbench-http-load", "--checked", f"--logged-duration={logged.measured:.0f}"),
            f"--logged-warm-up-time={1000 * logged.warmup:.0f}ms",
            *("--h1", "--threads=1", f"--clients={self.number(CONNECTIONS.name)}"),
            *(f"--duration={duration}", f"--warm-up-time={warmup}"),
            *(f"--connection-inactivity-timeout={SILENCE}", *_FILES[self.number(BODY.name)]),
            f"http://{address}:{port}/{_PATHS[str(self.value(REUSE.name))]}",
        )

    def span(self, duration: int, warmup: int) -> Span:
        logged = self._logged(duration, warmup)
        return Span(duration + logged.measured, warmup + logged.warmup)

    @staticmethod
    def _logged(duration: int, warmup: int) -> Span:
        return Span(max(1, duration // LOGGED_PART), LOGGED_WARMUP if warmup else 0.0)

    def parse(self, output: ToolOutput) -> Measurement:
        """From h2load's two summaries on standard output and, on standard error, how many requests
        of the second stretch ended with which status after how many microseconds (``COUNT STATUS
        MICROSECONDS`` a line).

        The payload is the body of every good answer of both stretches, and once more as it came
        with the request; headers are not counted.

        Requests that failed while others succeeded are counted as errors, and nowhere else: rate
        and latencies are those of good answers. Errors are those of both stretches.
        """
        text = output.stdout.decode(errors="replace")
        if output.exit_code != 0:
            said = (output.stderr or output.stdout).decode(errors="replace").strip()[-200:]
            raise ParseError(f"h2load ended with exit code {output.exit_code}: {said!r}")
        first, between, second = text.partition(_BETWEEN)
        connections = self.number(CONNECTIONS.name)
        plain = h2load.summary(first, connections)
        self._require_busy(plain, plain.mean * plain.done, plain.mean + plain.longest)
        if not between:
            raise ParseError(f"h2load was not started again to log: {first.strip()[-200:]!r}")
        logged, answers = h2load.summary(second, connections), h2load.answers(output.stderr)
        if (answers.logged, answers.accepted) != (logged.done, logged.succeeded):
            raise ParseError(
                f"h2load counted {logged.succeeded} successes of {logged.done} requests but logged "
                f"{answers.accepted} of {answers.logged}"
            )
        if answers.good == 0:
            raise ParseError(f"h2load's log has no good answer among {answers.logged}")
        latencies = {
            metric.name: percentile(answers.counts, answers.latencies, at) / 1e6
            for at, metric in PERCENTILES.items()
        }
        if not all(latencies.values()):
            raise ParseError("h2load's log has most answers come in no time, which cannot be")
        cut = latencies[PERCENTILES[50.0].name] + float(answers.latencies[-1]) / 1e6
        self._require_busy(logged, answers.waited, cut)
        for stretch in (plain, logged):
            self._require_bodies(stretch)
        errors = plain.failed + plain.moved + logged.failed + logged.succeeded - answers.good
        return Measurement(
            samples=(
                Sample(RATE.name, plain.good / plain.duration),
                *(Sample(name, seconds) for name, seconds in latencies.items()),
                # What errored or timed out is among what failed.
                Sample(ERRORS.name, float(errors)),
            ),
            histogram=_encoded(answers),
            payload=2.0 * self.number(BODY.name) * (plain.good + answers.good),
            work=plain.work(plain.good) + logged.work(answers.good),
        )

    def _require_busy(self, stretch: Summary, waited: float, cut: float) -> None:
        """Raise ParseError where the connections ``waited`` for answers for too little of the time.

        ``cut`` is what each may have waited beside that, at the ends; all in seconds.
        """
        expected = float(stretch.connections * stretch.duration)
        missing = expected - waited - stretch.connections * cut
        allowed = IDLE_ALLOWED if self.value(REUSE.name) == KEEP else CONNECTING_ALLOWED
        if missing > allowed * expected:
            raise ParseError(
                f"h2load's connections were lost, or waited in vain, for {missing / expected:.0%} "
                "of the time: the server or the path to it stopped answering"
            )

    def _require_bodies(self, stretch: Summary) -> None:
        """Raise ParseError where fewer bytes of bodies came back than the good answers had."""
        expected = stretch.good * self.number(BODY.name)
        if stretch.data < expected:
            raise ParseError(
                f"the bodies came back short: {stretch.data} bytes of {expected} in "
                f"{stretch.good} good answers"
            )


def percentile(counts: NDArray[np.int64], values: NDArray[np.int64], at: float) -> float:
    """The nearest-rank percentile: the smallest value with at least ``at`` per cent at or below."""
    rank = max(1, math.ceil(at / 100 * int(counts.sum())))
    return float(values[int(np.searchsorted(np.cumsum(counts), rank))])


def _encoded(answers: Answers) -> str:
    histogram = HdrHistogram(1, LONGEST_US, 3)
    for count, value in zip(answers.counts.tolist(), answers.latencies.tolist(), strict=True):
        histogram.record_value(max(1, value), count)
    return str(histogram.encode().decode("ascii"))


WORKLOAD = HttpEcho()
