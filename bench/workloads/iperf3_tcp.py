"""Bulk TCP: one stream of iperf3 from client to server, counted where it arrives."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bench.errors import ParseError
from bench.model import Better, Interval, Measurement, Metric, Sample
from bench.workloads._iperf3 import number, report
from bench.workloads.base import Cost, ToolOutput, Workload

THROUGHPUT = Metric("throughput", "bit/s", Better.HIGHER, "TCP throughput", headline=True)
RETRANSMITS = Metric("retransmits", "segments", Better.LOWER, "TCP retransmits")
COST = Cost(
    Metric("cpu_per_gb", "s/GB", Better.LOWER, "CPU time per GB"), THROUGHPUT.name, amount=8e9
)

# The last interval ends when the last byte arrives: a remnant of a few milliseconds with a rate of
# its own is no second of the measurement. Its bytes are in the total all the same.
SHORTEST = 0.1


class Iperf3Tcp(Workload):
    name = "iperf3-tcp"
    title = "TCP bulk transfer (iperf3, one stream)"
    metrics = (THROUGHPUT, RETRANSMITS, COST.metric)
    cost = COST
    port = 1

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
        )

    def parse(self, output: ToolOutput) -> Measurement:
        """From iperf3's JSON. The payload is what the receiver read from its socket after the
        warm-up; nothing of the application's goes the other way."""
        found = report(output)
        try:
            received = number(found["end"]["sum_received"]["bits_per_second"])
            arrived = number(found["end"]["sum_received"]["bytes"])
            retransmits = number(found["end"]["sum_sent"]["retransmits"])
            rows = tuple(_intervals(found["server_output_json"]["intervals"]))
        except KeyError as missing:
            raise ParseError(f"iperf3's report lacks {missing}") from None
        except (TypeError, ValueError, OverflowError) as wrong:
            raise ParseError(f"iperf3's report is not as it should be: {wrong}") from None
        if received <= 0 or arrived <= 0:
            raise ParseError(f"iperf3 reports {received} bit/s, {arrived} bytes at the receiver")
        if all(row.warmup for row in rows):
            raise ParseError("iperf3's report has no interval after the warm-up")
        return Measurement(
            samples=(Sample(THROUGHPUT.name, received), Sample(RETRANSMITS.name, retransmits)),
            intervals=rows,
            payload=arrived,
        )


def _intervals(rows: list[dict[str, Any]]) -> Iterator[Interval]:
    """The receiver's intervals on one time axis: iperf3 restarts its clock after the warm-up."""
    warm_end = 0.0
    for row in rows:
        total = row["sum"]
        warmup = bool(total["omitted"])
        offset = 0.0 if warmup else warm_end
        start, end = number(total["start"]) + offset, number(total["end"]) + offset
        if warmup:
            warm_end = end
        if end - start >= SHORTEST:
            rate = number(total["bits_per_second"])
            yield Interval(start, end, THROUGHPUT.name, rate, warmup)


WORKLOAD = Iperf3Tcp()
