"""HTTP echo in a closed loop: each connection sends its next request when the answer is there."""

from __future__ import annotations

import math
import re

import numpy as np
from hdrh.histogram import HdrHistogram

from bench.errors import ParseError
from bench.model import Better, Measurement, Metric, Sample
from bench.workloads.base import ToolOutput, Workload

RATE = Metric("requests", "1/s", Better.HIGHER, "HTTP requests", headline=True)
PERCENTILES = {
    50.0: Metric("latency_p50", "s", Better.LOWER, "HTTP latency p50", headline=True),
    90.0: Metric("latency_p90", "s", Better.LOWER, "HTTP latency p90"),
    99.0: Metric("latency_p99", "s", Better.LOWER, "HTTP latency p99", headline=True),
    99.9: Metric("latency_p99.9", "s", Better.LOWER, "HTTP latency p99.9"),
}
ERRORS = Metric("errors", "requests", Better.LOWER, "HTTP errors")

CONNECTIONS = 16
LONGEST_US = 3_600_000_000

_TOTALS = re.compile(
    r"^requests: (\d+) total, \d+ started, (\d+) done, (\d+) succeeded, "
    r"(\d+) failed, (\d+) errored, (\d+) timeout",
    re.MULTILINE,
)
_RATE = re.compile(r"^finished in \S+, (\d+(?:\.\d+)?) req/s", re.MULTILINE)
_COUNT = re.compile(r"^(\d+) (\d+|-1) (\d+)$")


class HttpEcho(Workload):
    name = "http-echo"
    title = f"HTTP echo of 1 KiB (h2load, closed loop, {CONNECTIONS} connections)"
    metrics = (RATE, *PERCENTILES.values(), ERRORS)
    port = 80

    def server(self, address: str, port: int) -> tuple[str, ...]:
        return ("netbench-echo", str(port), address)

    def client(self, address: str, port: int, duration: int, warmup: int) -> tuple[str, ...]:
        return (
            *("netbench-http-load", "--h1", "--threads=1", f"--clients={CONNECTIONS}"),
            *(f"--duration={duration}", f"--warm-up-time={warmup}"),
            *("--connection-active-timeout=10", "--data=/usr/share/netbench/body-1k"),
            f"http://{address}:{port}/echo",
        )

    def parse(self, output: ToolOutput) -> Measurement:
        """From h2load's summary on standard output and, on standard error, how many requests ended
        with which status after how many microseconds (``COUNT STATUS MICROSECONDS`` a line)."""
        text = output.stdout.decode(errors="replace")
        if output.exit_code != 0:
            said = output.stderr.decode(errors="replace").strip()[-200:]
            raise ParseError(f"h2load ended with exit code {output.exit_code}: {said!r}")
        totals, rate = _TOTALS.search(text), _RATE.search(text)
        if totals is None or rate is None:
            raise ParseError(f"h2load left no summary: {text.strip()[-200:]!r}")
        total, _done, succeeded, failed, errored, timed_out = map(int, totals.groups())
        if total == 0 or succeeded == 0 or not float(rate[1]) > 0:
            raise ParseError(f"h2load: none of {total} requests was answered")
        counts, latencies = _distribution(output.stderr)
        if int(counts.sum()) != succeeded:
            raise ParseError(
                f"h2load counted {succeeded} good answers but logged {int(counts.sum())}"
            )
        return Measurement(
            samples=(
                Sample(RATE.name, float(rate[1])),
                *(
                    Sample(metric.name, percentile(counts, latencies, at) / 1e6)
                    for at, metric in PERCENTILES.items()
                ),
                Sample(ERRORS.name, float(failed + errored + timed_out)),
            ),
            histogram=_encoded(counts, latencies),
        )


def _distribution(log: bytes) -> tuple[np.ndarray, np.ndarray]:
    """How many good answers took how many microseconds, in ascending order of the latter."""
    found: dict[int, int] = {}
    for line in log.decode(errors="replace").splitlines():
        match = _COUNT.match(line.strip())
        if match is None:
            raise ParseError(f"h2load's log has the line {line[:80]!r}")
        count, status, microseconds = map(int, match.groups())
        if 200 <= status < 300:
            found[microseconds] = found.get(microseconds, 0) + count
    latencies = np.array(sorted(found), dtype=np.int64)
    return np.array([found[key] for key in latencies], dtype=np.int64), latencies


def percentile(counts: np.ndarray, values: np.ndarray, at: float) -> float:
    """The nearest-rank percentile: the smallest value with at least ``at`` per cent at or below."""
    rank = max(1, math.ceil(at / 100 * int(counts.sum())))
    return float(values[int(np.searchsorted(np.cumsum(counts), rank))])


def _encoded(counts: np.ndarray, latencies: np.ndarray) -> str:
    histogram = HdrHistogram(1, LONGEST_US, 3)
    for count, value in zip(counts.tolist(), latencies.tolist(), strict=True):
        histogram.record_value(max(1, value), count)
    return str(histogram.encode().decode("ascii"))


WORKLOAD = HttpEcho()
