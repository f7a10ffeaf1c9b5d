"""HTTP echo in a closed loop: each connection sends its next request when the answer is there."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import numpy as np
from hdrh.histogram import HdrHistogram
from numpy.typing import NDArray

from bench.errors import ParseError
from bench.model import Better, Measurement, Metric, Sample
from bench.workloads.base import Cost, ToolOutput, Workload

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

CONNECTIONS = 16
# Bytes of /usr/share/netbench/body-1k in the image, which the server sends back as it came.
BODY = 1024
LONGEST_US = 3_600_000_000

# Seconds in which a connection that hears nothing is given up: without it h2load waits minutes
# for a connection that does not come about.
SILENCE = 5

# In a closed loop every connection always waits for an answer, so the latencies must add up to
# connections x duration. A connection that died, or hangs on a request that is never answered,
# leaves no trace in h2load's counts (it reports no error, only a lower rate) but it is missing
# here. This part of the time may be missing, beside two median latencies a connection for the
# requests that the beginning and the end of the measurement cut.
IDLE_ALLOWED = 0.1

_NUMBER = r"(\d{1,15})"
_MODE = re.compile(rf" of warm-up time and {_NUMBER}s of main duration")
_TOTALS = re.compile(
    rf"^requests: \d+ total, \d+ started, {_NUMBER} done, {_NUMBER} succeeded, "
    rf"{_NUMBER} failed, {_NUMBER} errored, {_NUMBER} timeout$",
    re.MULTILINE | re.ASCII,
)
_COUNT = re.compile(rf"{_NUMBER} (\d{{1,3}}|-1) {_NUMBER}", re.ASCII)

# h2load logs status 0 for an answer that began in the warm-up and ended after it. It counts that
# answer as a success without looking, and so do we: there is one a connection at most.
_UNSEEN = 0


@dataclass(frozen=True, slots=True)
class _Answers:
    """Good answers by their latency (ascending, in microseconds), and what else was logged.

    ``accepted`` counts what h2load takes for a success, redirections included; ``waited`` is the
    sum of all latencies in seconds, failed requests' included.
    """

    counts: NDArray[np.int64]
    latencies: NDArray[np.int64]
    logged: int
    accepted: int
    waited: float

    @property
    def good(self) -> int:
        return int(self.counts.sum())


class HttpEcho(Workload):
    name = "http-echo"
    title = f"HTTP echo of 1 KiB (h2load, closed loop, {CONNECTIONS} connections)"
    metrics = (RATE, *PERCENTILES.values(), ERRORS, COST.metric)
    cost = COST
    port = 80

    def server(self, address: str, port: int) -> tuple[str, ...]:
        return ("netbench-echo", str(port), address)

    def client(self, address: str, port: int, duration: int, warmup: int) -> tuple[str, ...]:
        return (
            *("netbench-http-load", "--h1", "--threads=1", f"--clients={CONNECTIONS}"),
            *(f"--duration={duration}", f"--warm-up-time={warmup}"),
            *(f"--connection-inactivity-timeout={SILENCE}", "--data=/usr/share/netbench/body-1k"),
            f"http://{address}:{port}/echo",
        )

    def parse(self, output: ToolOutput) -> Measurement:
        """From h2load's summary on standard output and, on standard error, how many requests ended
        with which status after how many microseconds (``COUNT STATUS MICROSECONDS`` a line).

        The payload is the body of every good answer, and once more as it came with the request;
        headers are not counted.

        Requests that failed while others succeeded are counted as errors, and nowhere else: rate
        and latencies are those of good answers.
        """
        text = output.stdout.decode(errors="replace")
        if output.exit_code != 0:
            said = (output.stderr or output.stdout).decode(errors="replace").strip()[-200:]
            raise ParseError(f"h2load ended with exit code {output.exit_code}: {said!r}")
        mode, totals = _MODE.search(text), _TOTALS.search(text)
        if mode is None or totals is None:
            raise ParseError(f"h2load left no summary: {text.strip()[-200:]!r}")
        duration = int(mode[1])
        done, succeeded, failed, _errored, _timeout = map(int, totals.groups())
        answers = _answers(output.stderr)
        if answers.good == 0 or duration == 0:
            raise ParseError(f"h2load: none of {max(done, failed)} requests was answered well")
        if (answers.logged, answers.accepted) != (done, succeeded):
            raise ParseError(
                f"h2load counted {succeeded} successes of {done} requests but logged "
                f"{answers.accepted} of {answers.logged}"
            )
        _require_busy(answers, duration)
        latencies = {
            metric.name: percentile(answers.counts, answers.latencies, at) / 1e6
            for at, metric in PERCENTILES.items()
        }
        if not all(latencies.values()):
            raise ParseError("h2load's log has most answers come in no time, which cannot be")
        return Measurement(
            samples=(
                Sample(RATE.name, answers.good / duration),
                *(Sample(name, seconds) for name, seconds in latencies.items()),
                # What errored or timed out is among what failed.
                Sample(ERRORS.name, float(failed + succeeded - answers.good)),
            ),
            histogram=_encoded(answers),
            payload=2.0 * BODY * answers.good,
        )


def _answers(log: bytes) -> _Answers:
    found: dict[int, int] = {}
    logged = accepted = waited = 0
    for line in log.decode(errors="replace").splitlines():
        match = _COUNT.fullmatch(line)
        if match is None:
            raise ParseError(f"h2load's log has the line {line[:80]!r}")
        count, status, microseconds = map(int, match.groups())
        if count == 0 or microseconds > LONGEST_US:
            raise ParseError(f"h2load's log has the line {line[:80]!r}, which cannot be")
        logged += count
        waited += count * microseconds
        accepted += count if status == _UNSEEN or 200 <= status < 400 else 0
        if status == _UNSEEN or 200 <= status < 300:
            found[microseconds] = found.get(microseconds, 0) + count
    if logged > np.iinfo(np.int64).max:
        raise ParseError(f"h2load's log counts {logged} requests, which cannot be")
    latencies = np.array(sorted(found), dtype=np.int64)
    counts = np.array([found[key] for key in latencies.tolist()], dtype=np.int64)
    return _Answers(counts, latencies, logged, accepted, waited / 1e6)


def _require_busy(answers: _Answers, duration: int) -> None:
    expected = float(CONNECTIONS * duration)
    cut = 2 * CONNECTIONS * percentile(answers.counts, answers.latencies, 50.0) / 1e6
    missing = expected - answers.waited - cut
    if missing > IDLE_ALLOWED * expected:
        raise ParseError(
            f"h2load's connections were lost, or waited in vain, for {missing / expected:.0%} of "
            "the time: the server or the path to it stopped answering"
        )


def percentile(counts: NDArray[np.int64], values: NDArray[np.int64], at: float) -> float:
    """The nearest-rank percentile: the smallest value with at least ``at`` per cent at or below."""
    rank = max(1, math.ceil(at / 100 * int(counts.sum())))
    return float(values[int(np.searchsorted(np.cumsum(counts), rank))])


def _encoded(answers: _Answers) -> str:
    histogram = HdrHistogram(1, LONGEST_US, 3)
    for count, value in zip(answers.counts.tolist(), answers.latencies.tolist(), strict=True):
        histogram.record_value(max(1, value), count)
    return str(histogram.encode().decode("ascii"))


WORKLOAD = HttpEcho()
