"""Bulk TCP: streams of iperf3 between client and server, counted where they arrive."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

from bench.errors import ParseError
from bench.model import Better, Interval, Measurement, Metric, Sample
from bench.workloads import _iperf3 as iperf3
from bench.workloads._iperf3 import number
from bench.workloads.base import PAIRS, Cost, Parameter, ToolOutput, Workload

THROUGHPUT = Metric("throughput", "bit/s", Better.HIGHER, "TCP throughput", headline=True)
RETRANSMITS = Metric("retransmits", "segments", Better.LOWER, "TCP retransmits")
COST = Cost(
    Metric("cpu_per_gb", "s/GB", Better.LOWER, "CPU time per GB"), THROUGHPUT.name, amount=8e9
)

THERE = Metric("throughput_there", "bit/s", Better.HIGHER, "TCP throughput to the server")
BACK = Metric("throughput_back", "bit/s", Better.HIGHER, "TCP throughput to the client")

STREAMS = Parameter("streams", 1, range(1, 129), "streams at once")
FORWARD, REVERSE, BOTH = "forward", "reverse", "both"
DIRECTION = Parameter(
    "direction",
    FORWARD,
    (FORWARD, REVERSE, BOTH),
    "to the server, to the client, or both ways at once",
)
# iperf3's own default for TCP.
SIZE = Parameter("size", 131_072, range(1, 1_048_577), "bytes of a write")
_FLAGS = {FORWARD: (), REVERSE: ("--reverse",), BOTH: ("--bidir",)}
# What iperf3 calls the sums of the way back in --bidir, and the others of it.
_RETURNED = "_bidir_reverse"

# The last interval ends when the last byte arrives: a remnant of a few milliseconds with a rate of
# its own is no second of the measurement. Its bytes are in the total all the same.
SHORTEST = 0.1


class Iperf3Tcp(Workload):
    name = "iperf3-tcp"
    title = "TCP bulk transfer (iperf3)"
    metrics: tuple[Metric, ...] = (THROUGHPUT, RETRANSMITS, COST.metric)
    cost = COST
    port = 1
    parameters = (STREAMS, DIRECTION, SIZE, PAIRS)

    def having(self, chosen: Mapping[str, int | str]) -> Self:
        made = super().having(chosen)
        if made.value(DIRECTION.name) == BOTH:
            told = made.metrics[0].title.removeprefix(THROUGHPUT.title)
            ways = (replace(one, title=one.title + told) for one in (THERE, BACK))
            made.metrics = (*made.metrics[:2], *ways, *made.metrics[2:])
        return made

    def server(self, address: str, port: int) -> tuple[str, ...]:
        return ("iperf3", "--server", "--json", "--bind", address, "--port", str(port))

    def probe(self, address: str, port: int) -> tuple[str, ...]:
        return (
            *("iperf3", "--client", address, "--port", str(port)),
            *("--bytes", "128K", "--connect-timeout", "3000"),
        )

    def client(self, address: str, port: int, duration: int, warmup: int) -> tuple[str, ...]:
        # --get-server-output brings the receiver's own intervals: the sender's count what went
        # into its socket buffer, not what arrived.
        return (
            *("iperf3", "--json", "--client", address, "--port", str(port)),
            *("--time", str(duration), "--omit", str(warmup), "--interval", "1"),
            *("--get-server-output", "--connect-timeout", "3000"),
            *_FLAGS[str(self.value(DIRECTION.name))],
            *self._flag("--parallel", STREAMS),
            *self._flag("--length", SIZE),
        )

    def _flag(self, option: str, parameter: Parameter) -> tuple[str, ...]:
        """Nothing for a default, so that iperf3 decides then as it always did."""
        chosen = self.chosen.get(parameter.name)
        return () if chosen is None else (option, str(chosen))

    def parse(self, output: ToolOutput) -> Measurement:
        """From iperf3's JSON. The payload is what the receivers read from their sockets after the
        warm-up, both ways together; throughput and intervals are the sum of all streams, and of
        both ways."""
        report = iperf3.report(output)
        ways = _ways(str(self.value(DIRECTION.name)))
        with iperf3.reading():
            ends = [report["end"][f"sum_received{way.suffix}"] for way in ways]
            received = [number(end["bits_per_second"]) for end in ends]
            arrived = math.fsum(number(end["bytes"]) for end in ends)
            retransmits = math.fsum(
                number(report["end"][f"sum_sent{way.suffix}"]["retransmits"]) for way in ways
            )
            short = iperf3.cut_short(report, ends[0])
            rows = tuple(_added([tuple(way.intervals(report)) for way in ways]))
        if min(received) <= 0 or arrived <= 0:
            told = " and ".join(f"{rate:g} bit/s" for rate in received)
            raise ParseError(f"iperf3 reports {told}, {arrived:g} bytes at the receiver")
        if short:
            raise ParseError(short)
        if all(row.warmup for row in rows):
            raise ParseError("iperf3's report has no interval after the warm-up")
        each = zip((THERE, BACK), received, strict=True) if len(ways) > 1 else ()
        return Measurement(
            samples=(
                Sample(THROUGHPUT.name, math.fsum(received)),
                Sample(RETRANSMITS.name, retransmits),
                *(Sample(metric.name, rate) for metric, rate in each),
            ),
            intervals=rows,
            payload=arrived,
        )


@dataclass(frozen=True, slots=True)
class _Way:
    """One direction of a transfer: how iperf3 marks its sums, and which end receives."""

    suffix: str
    at_server: bool

    def intervals(self, report: dict[str, Any]) -> Iterator[Interval]:
        """The receiver's own."""
        side = report["server_output_json"] if self.at_server else report
        return _intervals(side["intervals"], f"sum{self.suffix}")


def _ways(direction: str) -> tuple[_Way, ...]:
    there, back = _Way("", at_server=True), _Way("", at_server=False)
    if direction == BOTH:
        return there, replace(back, suffix=_RETURNED)
    return (back,) if direction == REVERSE else (there,)


def _added(ways: list[tuple[Interval, ...]]) -> Iterator[Interval]:
    """Each way's intervals, one by one, as one: their ends differ by less than a remnant."""
    for rows in zip(*ways, strict=False):
        yield replace(rows[0], value=math.fsum(row.value for row in rows))


def _intervals(rows: list[dict[str, Any]], key: str) -> Iterator[Interval]:
    """The receiver's intervals on one time axis: iperf3 restarts its clock after the warm-up."""
    warm_end = 0.0
    for row in rows:
        total = row[key]
        warmup = bool(total["omitted"])
        offset = 0.0 if warmup else warm_end
        start, end = number(total["start"]) + offset, number(total["end"]) + offset
        if warmup:
            warm_end = end
        if end - start >= SHORTEST:
            rate = number(total["bits_per_second"])
            yield Interval(start, end, THROUGHPUT.name, rate, warmup)


WORKLOAD = Iperf3Tcp()
