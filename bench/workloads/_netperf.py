"""netperf's request and response tests: their commands, and what they print. Pure.

netperf reaches its server by two ports, one to agree on a test and one for its data. The number of
the second is told to the server by the client, so that it must be the same on both sides of
whatever publishes it.
"""

from __future__ import annotations

import re
from dataclasses import replace

from bench.errors import ParseError
from bench.model import Better, Measurement, Metric, Sample
from bench.workloads.base import PAIRS, Cost, Parameter, ToolOutput, Workload

PORT, DATA_PORT = 10, 11

LOOPBACK = "127.0.0.1"

# What is asked of netperf's "omni" output: a line NAME=VALUE each. Latencies are in microseconds.
RATE, UNITS, ELAPSED = "THROUGHPUT", "THROUGHPUT_UNITS", "ELAPSED_TIME"
SENT, RECEIVED = "LOCAL_BYTES_SENT", "LOCAL_BYTES_RECVD"
MEAN = "MEAN_LATENCY"
LATENCIES = {
    "P50_LATENCY": Metric("latency_p50", "s", Better.LOWER, "p50"),
    "P90_LATENCY": Metric("latency_p90", "s", Better.LOWER, "p90"),
    "P99_LATENCY": Metric("latency_p99", "s", Better.LOWER, "p99", headline=True),
}
NUMBERS = (RATE, ELAPSED, MEAN, *LATENCIES, SENT, RECEIVED)
_LINE = re.compile(r"([A-Z0-9_]+)=(.*)")
_NUMBER = re.compile(r"\d{1,15}(?:\.\d{1,9})?", re.ASCII)

# One transaction is under way at any time, so the latencies add up to the time that was measured.
# A connection that hangs, or a datagram that was lost and is waited for until the end, leaves no
# other trace than a lower rate. This part of the time may be missing.
IDLE_ALLOWED = 0.1

SIZE = Parameter("size", 1, range(1, 65_001), "bytes of a request, and of its response")


class Netperf(Workload):
    """One of netperf's tests of transactions: a request, then its response, one at a time.

    ``test`` is netperf's name for it, ``noun`` what is lost where something is, for messages, and
    ``rate`` the metric of transactions a second.
    """

    test: str
    noun: str
    rate: Metric
    port = PORT
    data_port = DATA_PORT
    parameters = (SIZE, PAIRS)

    def server(self, address: str, port: int) -> tuple[str, ...]:
        # In the foreground, without files of its own for what it has to say.
        return ("netserver", "-D", "-N", "-4", "-L", address, "-p", str(port))

    def refusal(self, address: str) -> str:
        # getaddrinfo(3) with AI_ADDRCONFIG, which netperf calls, does not count the loopback's.
        if address == LOOPBACK:
            return "netperf takes no address where there is none but the loopback's"
        return ""

    def probe(self, address: str, port: int) -> tuple[str, ...]:
        """Ten transactions."""
        return self._command(address, port, 0, -10)

    def client(self, address: str, port: int, duration: int, warmup: int) -> tuple[str, ...]:
        return self._command(address, port, warmup, duration)

    def _command(self, address: str, port: int, warmup: int, length: int) -> tuple[str, ...]:
        size = self.number(SIZE.name)
        return (
            *("netbench-netperf", str(warmup), str(length), self.test),
            *("-4", "-H", address, "-p", str(port), "-P", "0", "-j", "--"),
            *("-P", f"0,{port + DATA_PORT - PORT}", "-r", f"{size},{size}"),
            *("-k", ",".join((*NUMBERS[:1], UNITS, *NUMBERS[1:]))),
        )

    def parse(self, output: ToolOutput) -> Measurement:
        """From netperf's lines of NAME=VALUE, which warnings may surround.

        The payload is every request and response, both ways together. netperf counts latencies in
        ten classes a decade and interpolates inside the class: percentiles are that coarse, and are
        not stored as a histogram.
        """
        said = _said(output)
        if output.exit_code != 0:
            raise ParseError(f"netperf ended with exit code {output.exit_code}: {said[-200:]!r}")
        told = _values(output.stdout.decode(errors="replace"))
        missing = [name for name in (UNITS, *NUMBERS) if name not in told]
        if missing:
            raise ParseError(f"netperf's output lacks {', '.join(missing)}: {said[-200:]!r}")
        if told[UNITS] != "Trans/s":
            raise ParseError(f"netperf counted {told[UNITS][:40]!r} where Trans/s were asked for")
        found = {name: _number(name, told[name]) for name in NUMBERS}
        if found[RATE] <= 0:
            raise ParseError(f"netperf got no answer: {self.noun} was lost, or nothing came back")
        zero = [name for name in NUMBERS if found[name] <= 0]
        if zero:
            raise ParseError(f"netperf reports {zero[0]} as {told[zero[0]]}, which cannot be")
        waited = found[RATE] * found[MEAN] / 1e6
        if waited < 1 - IDLE_ALLOWED:
            raise ParseError(
                f"netperf waited in vain for {1 - waited:.0%} of the time: {self.noun} was lost, "
                "or the server or the path to it stopped answering"
            )
        ordered = [found[name] for name in LATENCIES]
        if ordered != sorted(ordered) or waited > 1 + IDLE_ALLOWED:
            raise ParseError("netperf's rate and latencies contradict each other")
        return Measurement(
            samples=(
                Sample(self.rate.name, found[RATE]),
                *(Sample(metric.name, found[name] / 1e6) for name, metric in LATENCIES.items()),
            ),
            payload=found[SENT] + found[RECEIVED],
        )


def rate(name: str, title: str) -> Metric:
    """What a test counts a second."""
    return Metric(name, "1/s", Better.HIGHER, title, headline=True)


def cost(rate: Metric) -> Cost:
    """The CPU time of 1,000 of what ``rate`` counts."""
    name = f"cpu_per_k{rate.name.removesuffix('s')}"
    title = f"CPU time per 1,000 {rate.title}"
    return Cost(Metric(name, "s/k", Better.LOWER, title), rate.name, amount=1000.0)


def metrics(rate: Metric, cost: Cost, one: str) -> tuple[Metric, ...]:
    """All that a test yields; ``one`` is what its latencies are of."""
    latencies = (replace(metric, title=f"{one} {metric.title}") for metric in LATENCIES.values())
    return (rate, *latencies, cost.metric)


def _said(output: ToolOutput) -> str:
    text = (output.stdout + b"\n" + output.stderr).decode(errors="replace")
    return " ".join(text.split())


def _values(text: str) -> dict[str, str]:
    matches = map(_LINE.fullmatch, map(str.strip, text.splitlines()))
    return {match[1]: match[2] for match in matches if match}


def _number(name: str, text: str) -> float:
    if not _NUMBER.fullmatch(text):
        raise ParseError(f"netperf reports {name} as {text[:40]!r}, which is no number")
    return float(text)
